"""The form that a chapter owes its reader. Each check takes a :class:`Book` and returns a list of faults.

    python tests/form_checks.py chapters/foundations/pooling        the faults of one chapter

test_book.py applies them to every chapter.
"""

import ast
import math
import re
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import book_checks
from book_checks import IGNORED, Book, calls, files_in, html_of, labels_in, only_draws, tags, text_of
from bs4 import BeautifulSoup

SLIDE = r"\blectures?\b|\b(?:the|a|this|one|each|these|those|our|deck) slides?\b"  # and not: the window slides
MOST_WORDS, MOST_CELLS = 3850, 60  # "about 3,500"
MOST_HELPERS = 2  # cells in a row that show nothing
REMEMBER, EXERCISES, ORIGIN = "What to remember", "Exercises", "Where this comes from"
KINDS = ("Predict, then run.", "Derive.", "Change the code.")
ASIDE = re.compile(r"^(:{3,}|`{3,})\{(?!code-cell|math|figure|image|table|list-table|lecture-slides).*?^\1\s*$",
                   re.MULTILINE | re.DOTALL)  # fmt: skip

def sections(notebook):
    """(heading, cells) of each part of a chapter; the opening's heading is empty. Prose is split at its headings."""
    parts = [("", [])]
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            parts[-1][1].append(cell)
            continue
        first, *rest = re.split(r"^## (.*)$", without_code(cell.source), flags=re.MULTILINE)
        parts[-1][1].append(first)
        for heading, text in zip(rest[::2], rest[1::2], strict=True):
            parts.append((heading.strip(), [text]))
    return parts

def without_code(text):
    """Markdown without its fenced code, in which a hash begins a comment."""
    return re.sub(r"^(`{3,})(?!\{)[^\n]*\n.*?^\1\s*$", "", text, flags=re.MULTILINE | re.DOTALL)

def prose_of(cells):
    """The prose among a section's cells."""
    return "\n\n".join(cell for cell in cells if isinstance(cell, str))

def code_of(cells):
    """The code cells among a section's cells."""
    return [cell for cell in cells if not isinstance(cell, str)]

def pictures(cell):
    """The parsed pictures that a code cell shows."""
    return [image for output in cell.outputs for image in BeautifulSoup(html_of(output), "html.parser").find_all("img")]

def check_opening(book):
    """A chapter opens with its question and a picture; what the reader will be able to do, need and spend follow."""
    owed = {
        "a question": r"\?", "what the reader will be able to do": r"you will be able to",
        "what the reader needs": r"you need", "the minutes to read": r"\bminutes?\b",
        "the seconds to run on two cores": r"\bseconds?\b[^.]*cores|cores[^.]*\bseconds?\b",
    }  # fmt: skip
    faults = []
    for name, notebook in book.notebooks.items():
        _, cells = sections(notebook)[0]
        opening = prose_of(cells)
        if not re.search(r"^\([\w-]+\)=\n# \S", opening, re.MULTILINE):
            faults.append(f"{name}: must begin with a label and a title")
        faults += [f"{name}: the opening does not give {what}" for what, pattern in owed.items()
                   if not re.search(pattern, opening, re.IGNORECASE | re.DOTALL)]  # fmt: skip
        if not any(map(pictures, code_of(cells))):
            faults.append(f"{name}: the opening has no picture")
    return faults

def check_slides(book):
    """The main line reads without a slide: they stand at the end, made from the lecture map, or in an aside."""
    faults, items = [], book.read_yaml("chapters/lecture_map.yml")["items"]
    targets = {f"chapters/{target.partition('#')[0]}" for target in items.values()}
    for name, notebook in book.notebooks.items():
        parts = sections(notebook)
        heading, cells = parts[-1]
        if heading != ORIGIN:
            faults.append(f"{name}: must end with the section {ORIGIN!r}, ends with {heading!r}")
        elif name in targets and "{lecture-slides}" not in prose_of(cells):
            faults.append(f"{name}: {ORIGIN!r} does not list the slides, by the directive lecture-slides")
        for heading, cells in parts:
            text = ASIDE.sub("", prose_of(cells))
            found = re.findall(SLIDE, text, re.IGNORECASE) if heading != ORIGIN else []
            faults += [f"{name}, {heading or 'opening'}: {word!r} belongs in an aside or at the end" for word in found]
    return faults

def check_remember(book):
    """Each of the five to eight things to remember links to the section that shows it."""
    faults = []
    for name, notebook in book.notebooks.items():
        text = next((prose_of(cells) for heading, cells in sections(notebook) if heading == REMEMBER), None)
        if text is None:
            faults.append(f"{name}: there is no section {REMEMBER!r}")
            continue
        bullets = [part.split("\n\n")[0] for part in re.split(r"^[-*] ", text, flags=re.MULTILINE)[1:]]
        if not 5 <= len(bullets) <= 8:
            faults.append(f"{name}: {len(bullets)} things to remember, must be five to eight")
        shown = shown_under(notebook)
        for bullet in bullets:
            links = re.findall(r"\{ref\}`(?:[^`<]*<)?([^`>]+)>?`|\]\(#([\w-]+)\)", bullet)
            targets = [one or other for one, other in links]
            if not any(shown.get(target) for target in targets):
                said = " ".join(bullet.split())[:60]
                faults.append(f"{name}: links to no section of this chapter that shows something: {said!r}")
    return faults

def shown_under(notebook):
    """{label: whether a code cell of the section that it labels shows something}, subsections included."""
    shown, open_labels, waiting = dict.fromkeys(labels_in(notebook), False), [], []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if cell.outputs:
                shown.update(dict.fromkeys((label for label, _ in open_labels), True))
            continue
        for label, hashes in re.findall(r"^\(([\w-]+)\)=\s*$|^(#{1,6}) ", cell.source, re.MULTILINE):
            if label:
                waiting.append(label)
            else:
                waiting = waiting if len(hashes) > 1 else []  # the chapter as a whole is no place to look
                open_labels = [(one, level) for one, level in open_labels if level < len(hashes)]
                open_labels += [(one, len(hashes)) for one in waiting]
                waiting = []
    return shown

def check_captions(book):
    """Every figure has a caption, and its drawing code is folded."""
    faults = []
    for name, notebook in book.notebooks.items():
        for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 1):
            bare = [image.get("alt", "") for image in pictures(cell)
                    if not (image.parent.name == "figure" and image.parent.figcaption)]  # fmt: skip
            faults += [f"{name}, code cell {number}: a figure without a caption: {alt[:50]!r}" for alt in bare]
            folded = tags(cell) & {"hide-input", "hide-cell"}
            if only_draws(cell) and len(cell.source.splitlines()) > 3 and not folded:
                faults.append(f"{name}, code cell {number}: only draws, and is not folded (tag hide-input)")
    return faults

def check_size(book):
    """A chapter is read in an hour and a half: so many words, so many cells; optional sections do not count."""
    faults = []
    for name, notebook in book.notebooks.items():
        kept = [(heading, cells) for heading, cells in sections(notebook) if not heading.lower().endswith("(optional)")]
        words = sum(len(prose_of(cells).split()) for heading, cells in kept)
        cells = sum(len(code_of(cells)) for heading, cells in kept)
        if words > MOST_WORDS:
            faults.append(f"{name}: {words} words of prose, at most {MOST_WORDS}")
        if cells > MOST_CELLS:
            faults.append(f"{name}: {cells} code cells, at most {MOST_CELLS}")
        silent = 0
        for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 1):
            silent = 0 if cell.outputs else silent + 1
            if silent == MOST_HELPERS + 1:
                faults.append(f"{name}, code cell {number}: the third in a row that shows nothing")
    return faults

def check_kinds(book):
    """Among the exercises one is to predict, one to derive, one to change the code."""
    faults = []
    for name, notebook in book.notebooks.items():
        text = next((prose_of(cells) for heading, cells in sections(notebook) if heading.startswith(EXERCISES)), "")
        faults += [f"{name}: no exercise begins with **{kind}**" for kind in KINDS if f"**{kind}**" not in text]
    return faults

def check_answers(book):
    """No answer of three digits or more stands in an output of its chapter, solutions apart: it could be looked up."""
    from cnnbook.exercises import EXERCISES

    faults = []
    for name, notebook in book.notebooks.items():
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        asked = "\n".join(cell.source for cell in code)
        cells = [cell for cell in code if "hide-cell" not in tags(cell)]
        text = "\n".join(text_of(output) for cell in cells for output in cell.outputs)
        text += "\n".join(image.get("alt", "") for cell in cells for image in pictures(cell))
        shown = {number.replace(",", "") for number in re.findall(r"\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?", text)}
        shown = {number for number in shown if len(re.sub(r"e.*|\D", "", number).lstrip("0")) >= 3}
        for key, exercise in EXERCISES.items():
            if f'"{key}"' in asked:
                numbers = numbers_in(exercise.solution)
                found = sorted(digits for digits in shown if any(rounds_to(value, digits) for value in numbers))
                faults += [f"{name}: the answer of {key} stands in an output: {digits}" for digits in found]
    return faults

def numbers_in(solution):
    """The numbers of three digits or more in a solution; none of a function or of words."""
    if callable(solution) or isinstance(solution, str | bool):
        return []
    parts = getattr(solution, "tolist", lambda: solution)()
    if hasattr(parts, "__iter__"):
        return [one for part in parts for one in numbers_in(part)]
    return [abs(float(parts))] if len(re.sub(r"e.*|\D", "", f"{parts:.10g}").lstrip("0")) >= 3 else []

def rounds_to(value, digits):
    """Whether a number is printed by these digits."""
    mantissa, _, power = digits.partition("e")
    places = len(mantissa.partition(".")[2]) - int(power or 0)
    return math.isclose(round(value, places), float(digits), rel_tol=1e-12)

def check_defined(book):
    """A term of the glossary is used after the chapter that defines it, or the sentence links forward."""
    glossary = book.read_yaml("appendix/glossary.yml")
    phrases = {term: [term] if isinstance(entry, str) else entry["phrases"] for term, entry in glossary.items()}
    defined, faults = set(), []
    order = [name for name in files_in(book.read_yaml("_toc.yml")) if name in book.notebooks]
    elsewhere = {term for name in order for term in terms_defined(book.notebooks[name], phrases)}
    for name in order:
        early = set()
        for heading, cells in sections(book.notebooks[name]):
            for text in re.split(r"(?<=[.!?:])\s+|\n\n", ASIDE.sub("", prose_of(cells))):
                defined |= set(terms_in_bold(text, phrases))
                pointer = re.search(r"\{(?:ref|term|doc)\}`|\]\(", text)
                if not heading or heading == ORIGIN or pointer:
                    continue
                used = set(terms_used(text, phrases)) - defined
                for term in sorted(used & elsewhere - early):
                    said = " ".join(text.split())[:60]
                    faults.append(f"{name}, {heading}: {term!r} is used before it is defined: {said!r}")
                early |= used
    return faults

def terms_defined(notebook, phrases):
    """The terms that a chapter sets in bold."""
    return terms_in_bold("\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown"), phrases)

def _pattern(phrases):
    either = "|".join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])(?:{either})s?(?![\w-])", re.IGNORECASE)

def terms_in_bold(text, phrases):
    """The terms that a text sets in bold."""
    bold = re.findall(r"\*\*([^*]+)\*\*", " ".join(text.split()))
    return [term for term, own in phrases.items() if own and any(_pattern([*own, term]).fullmatch(one) for one in bold)]

def terms_used(text, phrases):
    """The terms whose phrases stand in a text; code, formulas, links and headings aside. The longest phrase counts."""
    text = re.sub(r"`[^`]*`|\$[^$]*\$|^#.*$", " ", text, flags=re.MULTILINE)
    for term, own in sorted(phrases.items(), key=lambda item: -max(map(len, item[1]), default=0)):
        if own and (pattern := _pattern(own)).search(text):
            text = pattern.sub(" ", text)
            yield term

def check_streams(book):
    """Random streams are named, and no two of a chapter coincide."""
    faults = []
    for name, notebook in book.notebooks.items():
        source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
        tree = ast.parse("\n".join(lines))
        names, seen = constants(tree), {}
        for node in ast.walk(tree):
            function = getattr(node, "func", None)
            if getattr(function, "attr", getattr(function, "id", "")) != "default_rng":
                continue
            said = ast.unparse(node.args[0]) if node.args else ""
            if not (node.args and len(getattr(node.args[0], "elts", ())) >= 2):
                faults.append(f"{name}: default_rng({said}) must name its stream, such as default_rng([seed, NOISE])")
                continue
            value = tuple(str(names.get(ast.unparse(part), ast.unparse(part))) for part in node.args[0].elts)
            while value and value[-1] == "0":  # NumPy's seeds do not count them
                value = value[:-1]
            if value in seen:
                faults.append(f"{name}: default_rng({said}) draws what default_rng({seen[value]}) draws")
            seen[value] = said
    return faults

def constants(tree):
    """The numbers that names at the top of a chapter stand for: A, B = 0, 1 and A, B = range(2) as well."""
    found = {}
    for node in tree.body:
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1):
            continue
        names = getattr(node.targets[0], "elts", [node.targets[0]])
        try:
            value = node.value
            is_range = isinstance(value, ast.Call) and getattr(value.func, "id", "") == "range"
            values = list(range(*map(ast.literal_eval, value.args))) if is_range else ast.literal_eval(value)
        except ValueError:
            continue
        values = values if isinstance(values, list | tuple) and len(names) > 1 else [values]
        pairs = zip(names, values, strict=False) if len(names) == len(values) else ()
        found |= {ast.unparse(name): value for name, value in pairs if isinstance(value, int)}
    return found

def check_words_of_claims(book):
    """A claim reads with its number: "share lost: 0.63, claimed at least 0.5"."""
    faults = []
    for name, notebook in book.notebooks.items():
        for cell in notebook.cells:
            if cell.cell_type == "code" and calls(cell.source, "expect"):
                faults += [f"{name}: a claim's words must be a noun phrase, got {what!r}" for what in
                           re.findall(r"^(.*?): .*, claimed ", "\n".join(map(text_of, cell.outputs)), re.MULTILINE)
                           if re.search(r"\b(is|are|was|were|equals?)$", what)]  # fmt: skip
                if IGNORED in tags(cell):
                    said = cell.source.splitlines()[0]
                    faults.append(f"{name}: a claim stands in a cell that nbval ignores: {said!r}")
    return faults

CHECKS = [check_opening, check_slides, check_remember, check_captions, check_size, check_kinds, check_answers,
          check_defined, check_streams, check_words_of_claims]  # fmt: skip

def main(names):
    """Print the faults of the chapters that are named; return the exit status."""
    names = [name.removesuffix(".ipynb").removesuffix(".myst.md") for name in names]
    book = Book(Path(__file__).resolve().parent.parent)
    every = [*CHECKS, book_checks.check_pairs, book_checks.check_lengths, book_checks.check_claims,
             book_checks.check_exercises, book_checks.check_alternative_texts]  # fmt: skip
    own = [fault for check in every for fault in check(book) if fault.startswith(tuple(names))]
    print("\n".join(own) or "no fault")
    return 1 if own else 0

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
