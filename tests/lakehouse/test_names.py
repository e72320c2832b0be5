import pytest

from lakeloom.lakehouse import names
from lakeloom.lakehouse.errors import ConfigError


@pytest.mark.parametrize("name", ["refinedweb", "dclm-411m", "v1.2_b", "naïve"])
def test_a_name_of_a_folder_is_taken(name: str) -> None:
    names.check(name, "mix.dataset")


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a b", "a\n", "a$b", "a:b"])
def test_anything_else_is_named_with_its_setting(name: str) -> None:
    with pytest.raises(ConfigError, match=r"mix\.dataset='.*': letters, digits, '\.', '_' and '-' only"):
        names.check(name, "mix.dataset")
