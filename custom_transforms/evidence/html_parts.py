"""Tables and figures of the report, as macros."""

PARTS = """
{% macro value(found) -%}
{% if found %}{{ found.value | number }}{% if found.value is number %}<small>{{ found | interval }}</small>{% endif %}
{% else %}&ndash;{% endif %}
{%- endmacro %}

{% macro table(caption, kind="") -%}
<div class="scroll" role="region" tabindex="0" aria-label="{{ caption }}"><table class="{{ kind }}">
<caption>{{ caption }}</caption>
{{ caller() }}
</table></div>
{%- endmacro %}

{% macro estimates(metrics, caption) -%}
{% call table(caption) %}
<thead><tr><th scope="col">Measure</th><th scope="col" class="number">Value</th><th scope="col" class="number">95 %
interval</th><th scope="col" class="number">n</th><th scope="col">Interval by</th></tr></thead>
<tbody>
{% for name, found in metrics.items() %}
<tr><th scope="row">{{ name | measure }}{% if name | meaning %}<small>{{ name | meaning }}</small>{% endif %}</th>
<td class="number">{{ found.value | number }}</td><td class="number">{{ found | interval }}</td>
<td class="count">{{ found.n }}</td><td>{{ found.method }}{% if found.p_value is number %}, p =
{{ found.p_value | number }}{% endif %}</td></tr>
{% endfor %}
</tbody>
{% endcall %}
{%- endmacro %}

{% macro matrix(columns, caption) -%}
{% call table(caption) %}
<thead><tr><th scope="col">Measure</th>
{% for column in columns %}<th scope="col" class="number">{{ column }}</th>{% endfor %}
<th scope="col" class="number">n</th><th scope="col">Interval by</th></tr></thead>
<tbody>
{% for name in columns | measures %}
<tr><th scope="row">{{ name | measure }}{% if name | meaning %}<small>{{ name | meaning }}</small>{% endif %}</th>
{% for metrics in columns.values() %}<td class="number">{{ value(metrics[name]) }}</td>{% endfor %}
<td class="count">{{ columns | shared(name, "n") }}</td><td>{{ columns | shared(name, "method") }}</td></tr>
{% endfor %}
</tbody>
{% endcall %}
{%- endmacro %}

{% macro groups(rows, head, caption) -%}
{% call table(caption) %}
{% set names = rows | group_measures %}
<thead><tr>{% for _, title in head %}<th scope="col">{{ title }}</th>{% endfor %}
{% for name in names %}<th scope="col" class="number">{{ name | measure }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in rows %}
<tr>{% for key, _ in head %}
{% if loop.index < 3 %}<th scope="row">{{ row[key] }}
{% if loop.index == 2 and row.warning %}<small>{{ row.warning }}</small>{% endif %}</th>
{% else %}<td>{{ row[key] | known }}</td>{% endif %}
{% endfor %}
{% for name in names %}<td class="number">{{ value(row.metrics[name]) }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
{% endcall %}
{%- endmacro %}

{% macro facts(pairs, caption) -%}
<table class="facts"><caption>{{ caption }}</caption><tbody>
{% for name, fact in pairs %}
<tr><th scope="row">{{ name }}</th><td class="long">{{ fact }}</td></tr>
{% endfor %}
</tbody></table>
{%- endmacro %}

{% macro shown(pictures, wide=false) -%}
<div class="{{ 'cases' if wide else 'figures' }}">
{% for picture in pictures %}
<figure{% if wide %} class="wide"{% endif %}>
{% if picture.png %}
<img src="data:image/png;base64,{{ picture.png }}" alt="{{ picture.title }}. {{ picture.words }}">
{% endif %}
<figcaption>{% if wide %}<b>{{ picture.title }}.</b> {% endif %}{{ picture.caption }}</figcaption></figure>
{% endfor %}
</div>
{%- endmacro %}
"""
