"""The report: what it shows, that it needs nothing from outside, and how it looks in a real browser."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO, StringIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from synthetic_results import N, about, profile, request_results, study
from unmemorize import report
from unmemorize.errors import StoreError
from unmemorize.report import facts, page, tables, text, theme
from unmemorize.results import Results, Sample, png
from unmemorize.stats import Estimate

EMPTY = Results(title="Nothing", seeds={}, versions={})
VOID = {"wbr", "meta", "img", "br", "link", "input", "hr", "path", "use", "rect"}


class Page(HTMLParser):
    """Tags in order with their attributes, and the text outside <style>."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def full():
    return page.render(study())


@pytest.fixture(scope="module")
def single():
    return page.render(request_results())


@pytest.fixture(scope="module", params=["full", "single", "empty"])
def html(request):
    return page.render(EMPTY) if request.param == "empty" else request.getfixturevalue(request.param)


def test_every_tag_is_closed_and_every_id_unique(html):
    parsed = Page(html)
    assert parsed.open == []
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_page_needs_nothing_from_outside(html):
    without_images = re.sub(r"data:image/png;base64,[^\"]*", "", html)
    assert not re.search(r"https?:|//[a-z]|@import|<script|<link|<iframe", without_images)
    sources = [value for _, a in Page(html).tags for key, value in a.items() if key in ("src", "href", "data")]
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    targets = {source[1:] for source in sources if source.startswith("#")} | set(re.findall(r"url\(#([^)]+)\)", html))
    assert targets <= {a["id"] for _, a in Page(html).tags if "id" in a}


def test_pictures_say_what_they_show(full):
    parsed = Page(full)
    images = parsed.of("img")
    assert len(images) == 36
    assert all(image["alt"].startswith("Example ") for image in images)
    drawings = [svg for svg in parsed.of("svg") if svg.get("role") == "img"]
    assert len(drawings) == 9
    assert all(len(svg["aria-label"]) > 60 for svg in drawings)


def test_headings_descend_one_level_at_a_time(html):
    levels = [int(tag[1]) for tag, _ in Page(html).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_table_headers_have_a_scope(html):
    assert all(header.get("scope") in ("row", "col") for header in Page(html).of("th"))


def test_figures_follow_the_theme(full):
    drawings = "".join(re.findall(r"<svg.*?</svg>", full, re.DOTALL))
    assert not re.search(r"#[0-9a-f]{6}\b", drawings), "a colour that dark mode cannot change"
    css = (Path(page.__file__).parent / "page.css").read_text()
    light, dark = css.split("@media (prefers-color-scheme: dark)")
    for name in theme.NAMES:
        assert f"--{name}:" in light
        assert f"--{name}:" in dark


def luminance(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_contrast_meets_wcag(mode):
    css = (Path(page.__file__).parent / "page.css").read_text().split("@media (prefers-color-scheme: dark)")[mode]
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", css[:1500]))
    assert set(theme.NAMES) <= set(colours)

    def contrast(name, ground):
        dark, light = sorted([luminance(colours[name]), luminance(colours[ground])])
        return (light + 0.05) / (dark + 0.05)

    for ground in ("paper", "raised"):
        assert all(contrast(name, ground) >= 4.5 for name in ("ink", "muted", "accent", "flip"))
        assert all(contrast(f"series-{i}", ground) >= 4.5 for i in range(6))
    assert contrast("band", "paper") >= 3


def test_headline_names_the_best_method_beside_the_band(full):
    words = Page(full).text
    assert "out_of_sample came closest to models retrained without these examples: ToW 0.971 [0.964, 0.978]" in words
    assert "retrained models compared with each other reach 0.970 [0.962, 0.978]" in words
    assert "its interval overlaps that of the oracles" in words
    assert "42 with a flipped label" in words
    assert "of one retraining, 13% to 15%" in words


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.90, 0.95, "lies below"), (0.95, 0.97, "overlaps"), (0.98, 0.99, "lies above"), (np.nan, np.nan, "too few")],
)
def test_verdict_compares_the_intervals(low, high, said):
    whole = study()
    row = whole.comparison[-1]
    judged = replace(row.evaluation, whole=replace(row.evaluation.whole, tow=Estimate(0.999, low, high, 5)))
    assert said in page.verdict(replace(whole, comparison=(replace(row, evaluation=judged),)))


def test_retraining_does_not_compete_for_the_best():
    whole = study()
    row = whole.comparison[-1]
    tow = replace(row.evaluation.whole, tow=about(1.0, 0.0))
    retrained = replace(row, algorithm="retrain", evaluation=replace(row.evaluation, whole=tow))
    assert tables.best_row(replace(whole, comparison=(retrained, *whole.comparison))) is row


def test_every_measure_has_its_direction(full):
    words = Page(full).text
    for label in ("ToW ↑", "ToW-MIA ↑", "run time ↓", "share of retraining ↓", "recall of flips ↑", "Spearman ↑"):
        assert label.replace(" ", "") in words.replace(" ", "").replace("\xa0", "")


def test_sentences_stand_apart(html):
    assert not re.search(r"[a-zé)][.;:,][A-Z(]", Page(html).text)


def test_what_serves_every_request_is_told_apart_from_a_request(full):
    table = tables.costs(study())
    names = [column.name for column in table.columns]
    assert names[-7:] == ["once", "once, share of retraining", "scoring", "mask", "unlearning", "request",
                          "request, share of retraining"]  # fmt: skip
    made = {row[1]: row[3:6] for row in table.rows if row[0] == "salun"}
    assert made["RUM^F, exact"] == ("subset models", 84.0, pytest.approx(105.0))
    assert made["shuffle"] == ("–", 0, 0.0)
    assert "made once for all requests" in Page(full).text


def test_page_says_what_it_does_not_promise(html):
    assert "not certified (ε, δ) unlearning" in Page(html).text


def test_page_holds_every_seed_version_and_hash(full):
    results, words = study(), Page(full).text
    for seed in (11, 25):
        assert str(seed) in words
    for value in (*results.versions.values(), results.data.hash, results.forget_sets[0].hash, results.command):
        assert value in words


def test_flipped_samples_carry_a_badge(full):
    assert Page(full).text.count("true:") == sum(s.flipped for s in study().forget_sets[0].strata[2].samples) > 0


def test_request_without_oracle_shows_before_and_after(single):
    words = Page(single).text
    assert "No oracle. Nothing was retrained for comparison." in words
    assert "came closest" not in words
    for value in ("63.0%", "94.8%", "99.5%", "88.0%", "c0de" * 16, "alpha 0.97"):
        assert value in words


def test_results_without_optional_parts_still_make_a_page():
    whole = study()
    optional = ("data", "original", "ensemble", "profile", "proxies", "forget_sets", "comparison", "stages")
    for name in optional:
        less = replace(whole, profile=None, comparison=whole.comparison[-1:])
        less = replace(less, **{name: () if isinstance(getattr(whole, name), tuple) else None})
        assert Page(page.render(less)).open == []
        only = replace(EMPTY, **{name: getattr(whole, name)[:1] if name == "comparison" else getattr(whole, name)})
        assert Page(page.render(only)).open == []


def test_forget_set_without_scores_claims_none():
    plain = report.ForgetSetSummary("ids", "given", "ab12", (report.StratumSummary("all", 3),))
    imaged = replace(plain, strata=(report.StratumSummary("all", 3, samples=(Sample(7, "cat", png=png(np.eye(3))),)),))
    assert "all 3 – –" in Page(page.render(replace(EMPTY, forget_sets=(plain,)))).text
    words = Page(page.render(replace(EMPTY, forget_sets=(imaged,)))).text
    assert "cat id 7" in words
    assert "score" not in words.split("What was forgotten", 2)[2].split("Under each image")[0]
    assert "flipped" not in words.split("Under each image")[0]


def test_single_run_claims_no_interval():
    once = Estimate(0.9, float("nan"), float("nan"), 1)
    row = study().comparison[-1]
    whole = replace(row.evaluation.whole, tow=once, tow_mia=once)
    alone = replace(row, evaluation=replace(row.evaluation, whole=whole, band=whole), retrain_share=once)
    html = page.render(replace(EMPTY, comparison=(alone,)))
    assert "n = 1, no interval" in html
    assert not re.search(r"\bnan\b", html, re.IGNORECASE)


def hostile() -> Results:
    """A study whose names try to break the page: markup, quotes, mathematics, length."""
    evil = "<script>alert(1)</script>\"'&$x^2$" + "very_long_name_" * 8
    whole = study()
    sample = Sample(1, evil, evil + "x", 0.5, png(np.eye(4)))
    stratum = replace(whole.forget_sets[0].strata[0], name=evil, samples=(sample,))
    return replace(
        whole,
        title=evil,
        command=evil,
        notes=(evil,),
        forget_sets=(replace(whole.forget_sets[0], name=evil, rule=evil, hash=evil, strata=(stratum,)),),
        comparison=(replace(whole.comparison[1], algorithm=evil, plan=evil, scores=evil), *whole.comparison[1:]),
        seeds={evil: evil},
        versions={evil: evil},
        data=replace(whole.data, name=evil),
        stages=((evil, 1.0),),
        profile=replace(whole.profile, proxies={evil: next(iter(whole.profile.proxies.values()))}),
        proxies=(replace(whole.proxies[0], name=evil, overlap={evil: 0.5}),),
    )


def test_each_forget_set_has_a_band_of_its_own_and_none_wins_over_another():
    rows = tuple(
        replace(row, scores=scores, protocol="paper") for scores in ("exact", "loss") for row in study().comparison[-2:]
    )
    results = replace(study(), comparison=rows, paired=(), verdicts=())
    assert [row.scores for row in results.oracles] == ["exact", "loss"]
    assert results.band is None
    assert tables.best_row(results) is None
    for table in (tables.comparison(results), tables.strata(results)):
        assert [row[:3] for row in table.rows[:2]] == [
            ("oracle", "against oracle, exact", "paper"),
            ("oracle", "against oracle, loss", "paper"),
        ]
    assert "highest ToW" not in Page(page.render(results)).text


def test_single_oracle_leaves_no_band():
    none = Estimate(float("nan"), float("nan"), float("nan"), 1)
    row = study().comparison[-1]
    band = replace(row.evaluation.band, tow=none, tow_mia=none)
    results = replace(EMPTY, comparison=(replace(row, evaluation=replace(row.evaluation, band=band)),))
    assert results.band is None
    assert results.oracles == ()
    words = Page(page.render(results)).text
    assert "with each other" not in words
    assert "Each stratum alone" in words
    assert not re.search(r"\bnan\b", words, re.IGNORECASE)


def test_what_the_user_names_is_escaped():
    html = page.render(hostile())
    assert "<script" not in html
    assert Page(html).open == []
    assert html.count("alert(1)") > 12


def test_json_round_trip_is_exact(tmp_path):
    for number, results in enumerate((study(), request_results(), EMPTY)):
        folder = tmp_path / str(number)
        report.write(results, folder)
        again = report.read(folder)
        assert json.dumps(again.to_dict()) == json.dumps(results.to_dict())
    whole = report.read(tmp_path / "0")
    assert whole.profile.flipped.dtype == bool
    assert whole.profile.stratum.dtype == np.int64
    np.testing.assert_array_equal(whole.profile.score, study().profile.score)
    assert np.isinf(whole.profile.proxies["forgetting_events"]).any()
    assert whole.forget_sets[0].strata[0].samples[0].png == study().forget_sets[0].strata[0].samples[0].png


def test_results_json_is_strict(tmp_path):
    report.write(study(), tmp_path)

    def refuse(constant):
        raise AssertionError(constant)

    json.loads((tmp_path / "results.json").read_text(encoding="utf-8"), parse_constant=refuse)


def test_same_results_same_bytes(tmp_path, full):
    path = report.write(study(), tmp_path)
    assert path.read_text(encoding="utf-8") == full
    assert path.stat().st_size < 1_500_000


def test_write_replaces_whole_files_and_leaves_no_other(tmp_path, monkeypatch):
    report.write(study(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(page, "render", lambda results: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report.write(EMPTY, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert set(before) == {"report.html", "results.json"}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[:-40], "damaged"),
        (lambda text: text.replace('"n_train"', '"n_tain"'), "unknown field 'n_tain'"),
        (lambda text: text.replace(f'"n_train": {N}', '"n_train": "many"'), "expected int, got str"),
        (lambda text: text.replace('"seeds"', '"sids"'), "unknown field 'sids'"),
        (lambda text: "[1, 2]", "expected dict, got list"),
        (lambda text: "{}", "field 'seeds' is missing"),
    ],
)
def test_damaged_results_are_named(tmp_path, damage, said):
    report.write(replace(EMPTY, data=study().data), tmp_path)
    path = tmp_path / "results.json"
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(StoreError, match=re.escape(said)) as caught:
        report.read(tmp_path)
    assert str(path) in str(caught.value)


def test_missing_results_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"results\.json"):
        report.read(tmp_path)


def test_profile_columns_must_match():
    whole = profile(np.random.default_rng(0))
    with pytest.raises(ValueError, match=rf"flipped: expected shape \({N},\) to match ids, got \(3,\)"):
        replace(whole, flipped=np.zeros(3, dtype=bool))


def test_csv_keeps_full_precision():
    lines = tables.comparison(study()).csv().splitlines()
    assert lines[0].startswith("algorithm,plan,protocol,ToW,ToW low,ToW high,ToW n,")
    last = dict(zip(lines[0].split(","), lines[-1].split(","), strict=True))
    tow = study().comparison[-1].tow
    assert (float(last["ToW"]), float(last["ToW low"]), int(last["ToW n"])) == (tow.value, tow.low, tow.n)


def test_markdown_and_latex_hold_the_numbers():
    table = tables.comparison(study())
    assert "| out_of_sample | vanilla | fixed-S | 0.971 [0.964, 0.978] |" in table.markdown()
    assert table.markdown().startswith("protocol fixed-S, oracle-tuned, 30 trials a method\n\n| algorithm |")
    latex = table.latex()
    assert latex.startswith("% protocol fixed-S, oracle-tuned, 30 trials a method\n\\begin{tabular}")
    assert r"out\_of\_sample & vanilla & fixed-S & 0.971 [0.964, 0.978] &" in latex
    assert r"RUM$^F$, exact" in latex
    assert r"24\% [23\%, 25\%]" in latex
    assert latex.isascii()


def test_write_tables(tmp_path):
    written = report.write_tables(study(), tmp_path)
    assert {path.name for path in written} == {
        f"{name}.{suffix}" for name in ("comparison", "strata", "costs", "proxies") for suffix in ("csv", "md", "tex")
    }
    assert report.write_tables(EMPTY, tmp_path / "none") == []
    with pytest.raises(ValueError, match="no format 'xls'; known are csv, md, tex"):
        report.write_tables(study(), tmp_path, ["xls"])


def test_terminal_table_fits_80_columns():
    console = Console(width=80, record=True, force_terminal=False, file=StringIO())
    console.print(report.terminal_table(study()))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(re.fullmatch(r"out_of_sample vanilla +0\.971 \[\.964, \.978\] 0\.944 \[.*\] +14%\s*", x) for x in lines)
    assert len([line for line in lines if line.strip()]) == 2 + 1 + len(study().comparison) + 1
    assert lines[-1].strip() == study().caption


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0213, "21 ms"),
        (0.42, "0.42 s"),
        (7.31, "7.3 s"),
        (41.2, "41 s"),
        (192, "3 min 12 s"),
        (7500, "2 h 05 min"),
        (-1.5, "−1.5 s"),
    ],
)
def test_durations(seconds, shown):
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(9.97, "10 s"), (59.7, "1 min 00 s"), (3599.9, "1 h 00 min")])
def test_durations_round_to_the_next_unit(seconds, shown):
    assert text.duration(seconds) == shown


def test_numbers_never_show_minus_zero():
    assert (text.number(-0.0001), text.number(-0.5), text.number(float("nan"))) == ("0.000", "−0.500", "–")
    assert [text.percent(x) for x in (0.11, 0.0084, 0.000021, 0.0, 1.8)] == ["11%", "0.84%", "0.0021%", "0%", "180%"]


def test_hyper_parameters_on_one_line():
    assert facts.spelled({"steps": [{"lr": 0.01, "epochs": 5}, {"lr": 1e-05}]}) == "lr 0.01, epochs 5 → lr 1e-05"
    assert facts.spelled({"steps": [{}]}) == "defaults"


def test_png_reads_back():
    grey = np.asarray(Image.open(BytesIO(png(np.array([[[-1.0, 0.0], [1.0, 3.0]]])))))
    np.testing.assert_array_equal(grey, [[0, 64], [128, 255]])
    assert np.asarray(Image.open(BytesIO(png(np.zeros((3, 4, 5)))))).shape == (4, 5, 3)
    with pytest.raises(ValueError, match=r"got \(2, 4, 5\)"):
        png(np.zeros((2, 4, 5)))
    with pytest.raises(ValueError, match="1 of 4 values are not finite"):
        png(np.array([[1.0, np.nan], [0, 0]]))


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium on the PATH")
def test_opens_in_a_browser_without_overflow_errors_or_requests(tmp_path):
    sync = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    shown = {"study": study(), "request": request_results(), "hostile": hostile()}
    pages = [report.write(results, tmp_path / name) for name, results in shown.items()]
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for path in pages:
            for width, scheme in ((1280, "light"), (390, "dark")):
                _inspect(browser, path, width, scheme)
        browser.close()


def _inspect(browser, path, width, scheme):
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(path.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    beyond = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.wide') &&
        e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 80))"""
    assert tab.evaluate(beyond) == []
    clipped = """[...document.querySelectorAll('svg.drawing')].flatMap(svg => {
        const frame = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('text')].filter(t => {
            const box = t.getBoundingClientRect();
            return box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
        }).map(t => t.textContent); })"""
    assert tab.evaluate(clipped) == []
    pixels = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
    assert tab.evaluate(pixels)
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(252, 252, 250)") == (scheme == "light")
    tab.close()
