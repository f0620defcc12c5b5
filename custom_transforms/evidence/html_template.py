"""The words and the order of the report. A module, not a file beside one, so that a packed bundle carries it."""

from custom_transforms.evidence.html_parts import PARTS

PAGE = """{% import "parts" as parts %}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Evaluation of {{ title }}</title><style>{{ style }}</style></head>
<body>
<header>
<h1>Evaluation of {{ title }}</h1>
<p class="quiet">Version {{ summary.version or "not recorded" }}, {{ date }}</p>
{% if summary.note %}<div class="box note" role="note"><p><b>{{ summary.note }}</b></p></div>{% endif %}
<div class="box research" role="note"><p><b>Research only. Not a medical device.</b></p></div>
{% if warnings %}
<div class="box warnings" role="note"><p><b>Warnings</b></p>
<ul>{% for warning in warnings %}<li>{{ warning }}</li>{% endfor %}</ul></div>
{% endif %}
</header>
<main>
<div class="tiles">
{% for name, found in tiles %}
<div class="tile"><span>{{ name }}</span><b>{{ found.value | number }}</b>
<span>95 % interval<br>{{ found | interval }}</span></div>
{% endfor %}
</div>
<nav aria-label="Contents"><ul>
<li><a href="#who">Who was measured</a></li><li><a href="#measures">Measures</a></li>
<li><a href="#figures">Figures</a></li>
{% if looked %}<li><a href="#looked">Where did it look</a></li>{% endif %}
{% if summary.subgroups %}<li><a href="#groups">Groups</a></li>{% endif %}
{% if cases and not looked %}<li><a href="#cases">Cases</a></li>{% endif %}
<li><a href="#reading">How to read this</a></li><li><a href="#files">Files</a></li>
</ul></nav>

<h2 id="who">Who was measured</h2>
{{ parts.facts(who, "Patients, data and network") }}
{% include summary.task %}

<h2 id="reading">How to read this</h2>
<ul>
<li>A 95 % interval says how far chance in the choice of patients moves a number: with other patients <b>of the same
kind</b> it would mostly lie within. It says nothing of another hospital, scanner or population.</li>
<li>n is the number of patients, or of those that a measure is about, behind a number. With few, intervals are wide;
with too few, there is none.</li>
{% for line in reading %}<li>{{ line }}</li>{% endfor %}
<li>Patients stand here by row ids. Whose row it is stands in <code>row_ids.csv</code>, which stays at home.</li>
</ul>
<p>Limits: what was measured on one data set holds for it. Before a use in research elsewhere, measure again on patients
from there. No number here supports a decision about a patient.</p>

<h2 id="files">Files</h2>
{% call parts.table("Files of this evaluation") %}
<thead><tr><th scope="col">File</th><th scope="col">What it holds</th><th scope="col">May be given away</th></tr>
</thead>
<tbody>{% for file, what, free in files %}
<tr><th scope="row"><code>{{ file }}</code></th><td>{{ what }}</td><td>{{ free }}</td></tr>{% endfor %}
</tbody>
{% endcall %}
</main></body></html>
"""

CLASSIFICATION = """{% import "parts" as parts %}
<h3>Operating point</h3>
{% if point %}
{{ parts.facts(point, "Threshold, and where it comes from") }}
{% else %}
<p><b>No decision is made:</b> there is no operating point. Measures that need a decision are left out.</p>
{% endif %}

<h2 id="measures">Measures</h2>
{{ parts.estimates(summary.metrics, "Measures over patients") }}
{% if summary.comparison %}
{{ parts.estimates(summary.comparison.metrics, "Beside another model, on the same patients: " ~
  summary.comparison.name) }}
{% endif %}
{% if summary.at_prevalence %}
<p>Predictive values depend on how frequent the disease is where the model is used. At other prevalences than here:</p>
{% call parts.table("Predictive values by prevalence") %}
<thead><tr><th scope="col">Prevalence</th><th scope="col" class="number">Positive predictive value</th><th scope="col"
class="number">Negative predictive value</th><th scope="col" class="number">n</th><th scope="col">Interval by</th>
</tr></thead>
<tbody>{% for row in summary.at_prevalence %}
<tr><th scope="row">{{ row.prevalence | percent }}</th><td class="number">{{ parts.value(row.ppv) }}</td><td
class="number">{{ parts.value(row.npv) }}</td><td class="number">{{ row.ppv.n }}</td><td>{{ row.ppv.method }}</td></tr>
{% endfor %}</tbody>
{% endcall %}
{% endif %}
{% if summary.at_fixed %}
<p>What other thresholds would give. They are chosen on the very patients that are measured, which flatters.</p>
{% call parts.table("At a fixed sensitivity or specificity") %}
<thead><tr><th scope="col">Measure</th><th scope="col" class="number">Value</th><th scope="col" class="number">95 %
interval</th><th scope="col" class="number">n</th><th scope="col" class="number">Threshold</th></tr></thead>
<tbody>{% for row in summary.at_fixed %}
<tr><th scope="row">{{ row.measure | measure }} where {{ row.fixed }} is at least {{ row.at_least | number(2) }}</th>
<td class="number">{{ row.estimate.value | number }}</td><td class="number">{{ row.estimate | interval }}</td>
<td class="number">{{ row.estimate.n }}</td><td class="number">{{ row.threshold | number }}</td></tr>
{% endfor %}</tbody>
{% endcall %}
{% endif %}

<h2 id="figures">Figures</h2>
{{ parts.shown(pictures) }}
{% if looked %}
<h2 id="looked">Where did it look</h2>
<ul>{% for finding in looked.findings %}<li>{{ finding }}</li>{% endfor %}</ul>
{{ parts.matrix(looked.maps, "Deletion: value and 95 % interval") }}
{{ parts.shown(cases, wide=true) }}
{% endif %}
{% if summary.subgroups %}
<h2 id="groups">Groups of patients</h2>
{{ parts.groups(summary.subgroups, [("column", "Column"), ("group", "Group"), ("patients", "Patients"),
  ("positives", "Positive")], "Measures by group") }}
{% endif %}
"""

SEGMENTATION = """{% import "parts" as parts %}
<h2 id="measures">Measures</h2>
{{ parts.estimates(summary.metrics, "Over all regions") }}
{% for caption, regions in tables.items() %}
{{ parts.matrix(regions, caption ~ ": by region, value and 95 % interval") }}
{% endfor %}
{% for rows in strata %}
{% set head = [("region", "Region"), ("stratum", "Stratum"), ("patients", "Patients")] %}
{% if rows[0].lesions is number %}
{{ parts.groups(rows, head + [("lesions", "Lesions")], "Lesions by volume, value and 95 % interval") }}
{% else %}
{{ parts.groups(rows, head, "By size of the tumour, value and 95 % interval") }}
{% endif %}
{% endfor %}
{% if floors %}
<p>A network that does not beat the best threshold on one modality, chosen on the very patients that are measured, has
learnt nothing.</p>
{% call parts.table("Mean Dice beside that of one threshold", "narrow") %}
<thead><tr><th scope="col">Region</th><th scope="col" class="number">Network</th><th scope="col" class="number">One
threshold</th></tr></thead>
<tbody>{% for region, network, dice in floors %}
<tr><th scope="row">{{ region }}</th><td class="number">{{ network.value | number }}</td><td class="number">{{ dice |
number }}</td></tr>{% endfor %}</tbody>
{% endcall %}
{% endif %}

<h2 id="figures">Figures</h2>
{{ parts.shown(pictures) }}
{% if cases %}
<h2 id="cases">Best, median and worst case</h2>
<p>By mean Dice over regions, of all patients. Colour: prediction. Lines: truth.</p>
{{ parts.shown(cases, wide=true) }}
{% endif %}
"""

TEMPLATES = {"parts": PARTS, "page": PAGE, "classification": CLASSIFICATION, "segmentation": SEGMENTATION}
