"""DCLM's steps for arXiv, Stack Exchange and StarCoder, translated (specification, section 2.7)."""

from lakeloom.filters.dclm_plan import Plan, Row, translates
from lakeloom.lakehouse.errors import ConfigError


@translates()
def arxiv_appendix_modifier(plan: Plan) -> list[Row]:
    return [{"edit": "remove_appendix"}]


@translates()
def arxiv_comment_modifier(plan: Plan, *, remove_multiline: bool = False) -> list[Row]:
    return [{"edit": "remove_latex_comments", "with_blocks": remove_multiline, "is_meant": plan.fix}]


@translates()
def arxiv_macro_modifier(plan: Plan) -> list[Row]:
    return [{"edit": "expand_macros"}]


@translates()
def arxiv_section_strip_modifier(plan: Plan) -> list[Row]:
    return [{"edit": "drop_preamble", "is_meant": plan.fix}]


@translates(reads_text=False)
def stackexchange_list_modifier(plan: Plan) -> list[Row]:
    return [{"mapper": "format_lists"}]


@translates(reads_text=False)
def stackexchange_answer_sort_modifier(plan: Plan, *, descending: bool = True) -> list[Row]:
    return [{"mapper": "sort_answers", "descending": descending}]


@translates(reads_text=False)
def stackexchange_html_extraction_modifier(plan: Plan) -> list[Row]:
    return [{"mapper": "extract_posts"}]


@translates(reads_text=False)
def stackexchange_qa_formatter(plan: Plan, *, remove_qa: bool = False) -> list[Row]:
    plan.delimiter = None  # whatever the text was, it is a string now
    return [{"mapper": "join_posts", "remove_posts": remove_qa}]


@translates(reads_text=False)
def starcoder_v2_repo_splitter(plan: Plan, *, max_files: int = 1000, delete_content: bool = True) -> list[Row]:
    if max_files < 1:
        raise ConfigError(f"max_files: {max_files} is not a whole number from 1")
    return [{"mapper": "split_repository", "max_files": max_files, "delete_content": delete_content}]


@translates(reads_text=False)
def starcoder_v2_format_modifier(
    plan: Plan, *, add_metadata_prob: float = 0.5, add_sentinels: bool = True
) -> list[Row]:
    plan.delimiter = None
    return [{"mapper": "join_files", "metadata_probability": add_metadata_prob, "with_sentinels": add_sentinels}]
