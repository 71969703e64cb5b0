"""Promises of the repository itself that are cheap to keep an eye on."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

ROOT = Path(__file__).parents[2]
SOURCE_ROOTS = ("proto", "client", "server", "indexer", "training")
PACKAGES = ("miwake.client", "miwake.indexer", "miwake.server", "miwake.training")
DOCUMENTS = sorted(path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCAL_PATH = re.compile(
    r"(?:^|[^\w.])/(?:" + "|".join(["wor[k]", "roo[t]", "tm[p]", "hom[e]"]) + r")/[a-z]", re.MULTILINE
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = "".join(blocks("sh")).splitlines()
    return [line.split("#")[0].strip() for line in lines if line.startswith("miwake-")]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def texts() -> list[Path]:
    roots = (*SOURCE_ROOTS, "tests", "docs", ".ci")
    found = [path for root in roots for path in (ROOT / root).rglob("*") if path.is_file()]
    found += [path for path in ROOT.iterdir() if path.is_file() and path.suffix in {".md", ".toml", ".txt", ".yaml"}]
    return [path for path in (*found, ROOT / "Makefile") if path.suffix != ".png" and "__pycache__" not in path.parts]


@pytest.mark.parametrize("root", SOURCE_ROOTS)
def test_no_source_root_owns_the_namespace(root: str) -> None:
    assert (ROOT / root / "miwake").is_dir()
    assert not (ROOT / root / "miwake" / "__init__.py").exists()


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_says_what_it_is(name: str) -> None:
    package = importlib.import_module(name)

    assert package.__doc__
    assert package.__doc__.strip().endswith(".")


@pytest.mark.parametrize("name", PACKAGES)
def test_what_a_package_exports_is_there_and_sorted(name: str) -> None:
    package = importlib.import_module(name)
    exported = getattr(package, "__all__", [])

    assert list(exported) == sorted(exported)
    assert [one for one in exported if not hasattr(package, one)] == []


def test_the_licence_is_apache_2() -> None:
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")

    assert "Apache License\n                           Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert PROJECT["license"] == "Apache-2.0"


@pytest.mark.parametrize("target", ["setup", "demo", "test", "check", "bench", "proto"])
def test_the_makefile_has_the_promised_targets(target: str) -> None:
    assert target in targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_documents_name_only_targets_that_there_are(document: Path) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")

    assert set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE)) <= targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]

    assert [link for link in links if link and not (ROOT / document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_modules_named_in_documents_are_there(document: Path) -> None:
    named = set(re.findall(r"`((?:[a-z_0-9]+/)*[a-z_0-9]+\.py)`", (ROOT / document).read_text(encoding="utf-8")))
    modules = [path.as_posix() for path in texts() if path.suffix == ".py"] + ["no/miwake/__init__.py"]

    assert [name for name in sorted(named) if not any(module.endswith(f"/{name}") for module in modules)] == []


@pytest.mark.parametrize("document", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=lambda path: path.name)
def test_every_decision_has_context_decision_and_consequences(document: Path) -> None:
    text = document.read_text(encoding="utf-8")

    assert re.findall(r"^## (.*)$", text, re.MULTILINE)[:3] == ["Context", "Decision", "Consequences"]


def test_no_two_decisions_bear_one_number() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs" / "adr").glob("*.md")]

    assert sorted(numbers) == sorted(set(numbers))


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_of_the_readme_imports_what_there_is(code: str) -> None:
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    names = [(node.module or "", alias.name) for node in imports for alias in node.names]

    assert [name for name in names if not hasattr(importlib.import_module(name[0]), name[1])] == []


@pytest.mark.parametrize("code", blocks("sh"))
def test_the_shell_of_the_readme_is_shell(code: str) -> None:
    checked = subprocess.run(["bash", "-n"], input=code, text=True, capture_output=True, check=False)  # noqa: S607

    assert checked.stderr == ""


@pytest.mark.parametrize("line", commands())
def test_the_commands_of_the_readme_take_the_options_it_shows(line: str) -> None:
    program, *words = shlex.split(line)
    module, _, name = PROJECT["scripts"][program].partition(":")
    group = typer.main.get_command(getattr(importlib.import_module(module), name))
    command = group.commands.get(words[0], group) if isinstance(group, TyperGroup) else group
    options = {option for parameter in command.params for option in parameter.opts}

    assert {word for word in words if word.startswith("--")} <= options


def test_nothing_names_a_path_of_one_machine() -> None:
    named = [
        str(path.relative_to(ROOT)) for path in texts() if LOCAL_PATH.search(path.read_text("utf-8", errors="ignore"))
    ]

    assert named == []


def test_the_changelog_tells_what_is_unreleased() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
