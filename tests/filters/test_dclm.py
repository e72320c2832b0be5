"""DCLM's pipelines as recipes: what they become, what is refused with which words, and what _fix changes."""

import json
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from lakeloom.filters import dclm
from lakeloom.filters.chain import Chain, Recipe
from lakeloom.filters.dclm_plan import TABLE
from lakeloom.filters.steps import load_all
from lakeloom.lakehouse.errors import ConfigError

Step = dict[str, object]
EVERY = (
    "page_length_filter word_length_filter symbol_ratio_filter bullet_count_filter ellipsis_count_filter "
    "alphabetic_word_ratio_filter stop_word_filter alphanumeric_char_ratio_filter line_length_filter "
    "github_extension_filter alphabetic_characters_to_tokens_filter word_removal_ratio_filter substring_filter "
    "repetition_filter massive_web_repetition_filters random_sampling_filter language_filter quality_filter "
    "url_substring_filter move_url_modifier key_name_modifier html_content_extraction_modifier "
    "substring_line_modifier punctuation_line_modifier line_length_modifier word_length_modifier "
    "uppercase_ratio_line_modifier numeric_ratio_line_modifier counter_line_modifier citation_removal_modifier "
    "newline_removal_modifier within_page_dedup split_lines_modifier join_lines_modifier url_removal_modifier "
    "starcoder_v2_repo_splitter starcoder_v2_format_modifier arxiv_appendix_modifier arxiv_comment_modifier "
    "arxiv_macro_modifier arxiv_section_strip_modifier stackexchange_list_modifier "
    "stackexchange_answer_sort_modifier stackexchange_html_extraction_modifier stackexchange_qa_formatter "
    "line_counter_enricher word_counter_enricher detect_lang_whole_page_enricher detect_lang_paragraph_enricher "
    "classify_fasttext_hq_prob_enricher ken_lm_perplexity_enricher"
)


def results(recipe: Recipe, text: str | None, url: str | None = "http://a.org", **keys: object) -> tuple[object, ...]:
    batch = {
        "text": pa.array([text], pa.string()),
        "url": pa.array([url], pa.string()),
        "keys": pa.array([json.dumps(keys)]),
    }
    done = Chain(recipe).apply(pa.record_batch(batch))
    return done.text[0].as_py(), done.dropped_by[0].as_py(), done.error[0].as_py()


def text_after(step: Step, text: str) -> object:
    return results(dclm.load([step]), text)[0]


def test_every_function_of_dclm_is_in_the_table() -> None:
    load_all()
    assert sorted(TABLE) == sorted(EVERY.split())


def test_a_pipeline_becomes_the_same_recipe_by_any_door(tmp_path: Path) -> None:
    steps = [{"func": "symbol_ratio_filter"}, "commit", {"func": "page_length_filter", "length_type": "char"}]
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump([{"source": "cc", "steps": steps}]))
    recipes = [
        dclm.load(steps),
        dclm.load(path),
        dclm.load([{"source": "cc", "steps": steps}], "cc"),
        Recipe.from_config({"dclm": str(path), "name": "other"}),
    ]
    assert len({recipe.hash for recipe in recipes}) == 1
    assert [recipe.name for recipe in recipes] == ["dclm", "p", "dclm", "other"]
    assert recipes[0].step_names == ["symbol_ratio_filter", "page_length_filter"]
    assert [step.part_of for step in recipes[0].steps] == ["0 symbol_ratio_filter", "2 page_length_filter"]


def test_repeated_functions_and_those_of_several_steps_have_names() -> None:
    line = {"func": "symbol_ratio_filter"}
    names = dclm.load([line, line, {"func": "massive_web_repetition_filters", "skip_paragraph": True}]).step_names
    assert names[:3] == [
        "symbol_ratio_filter",
        "symbol_ratio_filter_2",
        "massive_web_repetition_filters.repeated_line_ratio",
    ]
    assert names[-1] == "massive_web_repetition_filters.repeated_10gram_char_ratio"
    assert len(names) == 2 + 11


def test_the_last_of_two_sources_of_one_name_counts() -> None:
    blocks = [{"source": "a", "steps": [{"func": "no_such"}]}, {"source": "a", "steps": []}]
    assert dclm.load(blocks).steps == ()


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ([{"func": "page_lenght_filter"}], "no DCLM function 'page_lenght_filter'; nearest: page_length_filter"),
        ([{"func": "bullet_count_filter", "max_ratio": 1}], "no parameter of bullet_count_filter 'max_ratio'; choices"),
        ([{"func": "bullet_count_filter", "max_bullet_ratio": 1}], "nearest: max_bullet_start_ratio"),
        ([{"func": "page_length_filter"}], "needs length_type ('char' or 'word' or"),
        ([{"func": "page_length_filter", "length_type": "words"}], "'words' is not 'char' or 'word'"),
        (
            [{"func": "page_length_filter", "length_type": "line", "model": "split"}],
            "line takes no model; it takes remove_empty",
        ),
        ([{"func": "language_filter", "keep_languages": "en"}], "'en' is not a list, each a word"),
        ([{"func": "symbol_ratio_filter", "max_symbol_to_word_ratio": "low"}], "'low' is not a number"),
        ([{"func": "random_sampling_filter", "keep_probability": 2}], "keep_probability: 2.0 is not between 0 and 1"),
        (
            [{"func": "repetition_filter", "granularity": 12, "max_fraction": 1}],
            "granularity 12 needs ngram_char_ratio",
        ),
        ([{"func": "repetition_filter", "granularity": 0, "max_fraction": 1}], "granularity: 0 is no length"),
        ([{"func": "detect_lang_whole_page_enricher", "model": "fasttext", "seed": 1}], "seed: fasttext takes none"),
        ([{"func": "url_substring_filter", "banlist_from_fname": "a.pkl"}], "a pickle can run any code"),
        ([{"func": "url_substring_filter"}], "needs banlist or banlist_from_fname"),
        ([{"func": "substring_filter", "banlist": ["a["]}], "'(?:a[)' is no regular expression"),
        ([{"func": "substring_line_modifier", "banlist": ["a["]}], "'a[' is no regular expression"),
        (
            [{"func": "split_lines_modifier"}, {"func": "citation_removal_modifier"}],
            "the text is a list since split_lines_modifier",
        ),
        ([{"func": "move_url_modifier", "_aggregate": {"url": "mean"}}], "no aggregator 'mean'"),
        (
            [{"func": "move_url_modifier", "_aggregate": {"url": {"type": "histogram", "treshold": 1}}}],
            "no parameter of aggregator histogram 'treshold'",
        ),
        ([{"function": "x"}], "step 0: {'function': 'x'} is neither commit nor {func: name, ...}"),
        (["comit"], "step 0: 'comit' is neither commit"),
        ({"a": 1}, "{'a': 1} is no list"),
        ([{"source": "a", "steps": []}, {"source": "b", "steps": []}], "has the sources a, b; choose one"),
        ([{"source": "a", "steps": 3}], "source 'a': steps is 3; give a list"),
    ],
)  # fmt: skip
def test_mistakes_are_named_before_any_page_is_read(pipeline: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        dclm.load(pipeline)
    assert message in str(error.value)
    assert str(error.value).startswith("pipeline 'dclm'")


def test_missing_files_are_named_with_where_to_get_them(tmp_path: Path) -> None:
    name = "baselines/mappers/banlists/refinedweb_banned_domains_curated.txt"
    step = {"func": "url_substring_filter", "banlist_from_fname": name, "exact_domain_match": True}
    with pytest.raises(ConfigError, match="DCLM's own setup downloads it"):
        dclm.load([step])
    with pytest.raises(ConfigError, match="no pipeline"):
        dclm.load(tmp_path / "absent.yaml")
    (tmp_path / Path(name).name).write_text("bad.org\n")
    recipe = dclm.load([step], folders=[tmp_path])
    assert results(recipe, "t", "http://bad.org/")[1] == "url_substring_filter"
    assert results(recipe, "t", "http://www.bad.org/")[1] is None


def test_a_pipeline_in_dclms_own_folders_finds_its_files(tmp_path: Path) -> None:
    configs, lists = tmp_path / "baselines" / "baselines_configs", tmp_path / "baselines" / "mappers" / "banlists"
    configs.mkdir(parents=True)
    lists.mkdir(parents=True)
    (lists / "words.txt").write_text("bad\n")
    step = {"func": "substring_filter", "banlist_from_fname": "baselines/mappers/banlists/words.txt"}
    (configs / "p.yaml").write_text(yaml.safe_dump([{"source": "cc", "steps": [step]}]))
    assert results(dclm.load(configs / "p.yaml"), "a BAD word")[1] == "substring_filter"


def test_enrichers_write_what_filters_read() -> None:
    count: Step = {"func": "word_counter_enricher", "key": "before"}
    cut: Step = {"func": "line_length_modifier", "min_length": 2}
    limit: Step = {"func": "word_removal_ratio_filter", "prev_word_count_key": "before", "max_removed_ratio": 0.3}
    recipe = dclm.load([count, cut, limit])
    assert results(recipe, "one two\nthree four\nfive")[0] == "one two\nthree four"
    assert results(recipe, "one two\nthree")[1] == "word_removal_ratio_filter"
    assert "has 'before' already" in str(results(recipe, "one two", before=1)[2])
    assert "KeyError" in str(results(dclm.load([limit]), "one two")[2])
    assert results(dclm.load([count | {"overwrite": True}]), "one two", before=1)[1] is None


def test_list_text_stays_a_string_between_its_parts() -> None:
    split, join = {"func": "split_lines_modifier"}, {"func": "join_lines_modifier", "delimiter": " | "}
    assert text_after({"func": "split_lines_modifier"}, "a\nb") == "a\nb"
    assert dclm.load([split]).delimiter == "\n"
    assert results(dclm.load([split, split, join, join]), "a\nb")[0] == "a | b"
    assert dclm.load([split, join]).delimiter == ""
    assert results(dclm.load([split]), "")[1] == "split_lines_modifier"


def test_steps_over_all_pages_are_left_out_and_said_so() -> None:
    recipe = dclm.load([{"func": "exact_dedup", "content_key": "url"}, {"func": "move_url_modifier"}])
    assert recipe.left_out == ("0 exact_dedup",)
    assert recipe.step_names == ["move_url_modifier"]


@pytest.mark.parametrize(
    ("step", "text", "as_dclm", "as_meant"),
    [
        ({"func": "url_removal_modifier"}, "Qzx http://a.com/x", "Qzx http://a.com/x", "Qzx"),
        ({"func": "substring_filter", "banlist": ["a.c"]}, "abc", None, "abc"),
        ({"func": "substring_line_modifier", "banlist": "a.c|x"}, "abc\na.c|x\nz", "z", "abc\nz"),
        ({"func": "stop_word_filter", "min_stop_word": 0}, "nothing", None, "nothing"),
        ({"func": "arxiv_comment_modifier"}, "ab%c", "a", "ab"),
        ({"func": "arxiv_section_strip_modifier"}, "a \\paragraph{p}", None, "\\paragraph{p}"),
        ({"func": "detect_lang_whole_page_enricher", "model": "langdetect"}, "123", None, "123"),
    ],
)
def test_fix_gives_what_is_meant(step: Step, text: str, as_dclm: str | None, as_meant: str | None) -> None:
    assert text_after(step, text) == as_dclm
    assert text_after(step | {"_fix": True}, text) == as_meant


def test_fix_bans_hosts_with_www_ports_and_subdomains() -> None:
    step = {"func": "url_substring_filter", "exact_domain_match": True, "banlist": ["bad.org"], "ignore_chars": ["www"]}
    urls = ["http://bad.org/", "http://www.bad.org/", "http://a.bad.org:80/", "http://notbad.org/"]
    for fix, dropped in ((False, [True, False, False, False]), (True, [True, True, True, False])):
        recipe = dclm.load([step | {"_fix": fix}])
        assert [results(recipe, "t", url)[1] is not None for url in urls] == dropped


@pytest.mark.parametrize("name", ["content_to_text", "cc_v3_refinedweb_75b"])
def test_pipelines_without_files_of_their_own_load(name: str) -> None:
    recipe = dclm.load(Path(str(files("lakeloom.conf") / "dclm" / f"{name}.yaml")))
    assert len(recipe.steps) == 1


def test_older_pages_get_their_text() -> None:
    recipe = dclm.load([{"func": "key_name_modifier"}, {"func": "page_length_filter", "length_type": "char"}])
    assert results(recipe, None, content="abc") == ("abc", None, None)
    assert results(recipe, "text", content="abc") == ("text", None, None)
