"""Answers as models really write them, each with what must come of it.

The shapes are those reported again and again in the trackers of JSON parsers and of services: fences, prose,
reasoning, wrong wrappers, wrong quotes, missing and surplus punctuation, half answers.
"""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """One answer.

    Attributes:
        name: what is wrong with it.
        answer: the model's text.
        texts: the `text` of each entry that must be kept.
        bad: how many entries are bad.
        outcome: the outcome of the whole.
    """

    name: str
    answer: str
    texts: list[str]
    bad: int = 0
    outcome: str = "ok"


A = '{"text": "a", "label": "good"}'
B = '{"text": "b", "label": "bad"}'
AB = f'{{"entries": [{A}, {B}]}}'

WRAPPED = [
    Case("nothing", AB, ["a", "b"]),
    Case("byte order mark", "\ufeff" + AB, ["a", "b"]),
    Case("blank lines around", f"\n\n  {AB} \r\n\t", ["a", "b"]),
    Case("json fence", f"```json\n{AB}\n```", ["a", "b"]),
    Case("upper case fence", f"```JSON\n{AB}\n```", ["a", "b"]),
    Case("bare fence", f"```\n{AB}\n```", ["a", "b"]),
    Case("fence on one line", f"```json {AB} ```", ["a", "b"]),
    Case("fence that is never closed", f"```json\n{AB}", ["a", "b"]),
    Case("four backticks", f"````json\n{AB}\n````", ["a", "b"]),
    Case("tildes", f"~~~\n{AB}\n~~~", ["a", "b"]),
    Case("the word json", f"json\n{AB}", ["a", "b"]),
    Case("prose before", f"Here are two reviews, as you asked:\n{AB}", ["a", "b"]),
    Case("prose after", f'{AB}\nI labelled the second "bad" (see above).', ["a", "b"]),
    Case("prose with brackets", f"As in [1] and {{x}}, see {{so}}: {AB} [end]", ["a", "b"]),
    Case("prose with backticks", f"Use the `entries` list: {AB}", ["a", "b"]),
    Case("reasoning", f'<think>Perhaps {{"text": "draft"}}?</think>\n{AB}', ["a", "b"]),
    Case("reasoning without its opening tag", f'Perhaps {{"text": "draft"}}?\n</think>\n\n{AB}', ["a", "b"]),
    Case("reasoning, then a fence", f"<think>\nhm [\n</think>\n```json\n{AB}\n```", ["a", "b"]),
    Case("reasoning in brackets", f"[THINK]hm {{[/THINK]{AB}", ["a", "b"]),
    Case(
        "channels",
        f'<|channel|>analysis<|message|>maybe {{"text": "x"}}<|end|><|channel|>final<|message|>{AB}',
        ["a", "b"],
    ),
    Case("draft and final", f"```json\n[{B}]\n```\nRevised:\n```json\n{AB}\n```", ["a", "b"]),
    Case("one list after another", f'{{"entries": [{A}]}}\n{{"entries": [{B}]}}', ["a", "b"]),
    Case("a call", f"respond({AB})", ["a", "b"]),
    Case("an assignment", f"const answer = {AB};", ["a", "b"]),
    Case("a closing tag", f"<answer>{AB}</answer>", ["a", "b"]),
    Case("JSON in a string", '"{\\"entries\\": [{\\"text\\": \\"a\\"}]}"', ["a"]),
    Case("the list in a string", '{"entries": "[{\\"text\\": \\"a\\"}, {\\"text\\": \\"b\\"}]"}', ["a", "b"]),
]

SHAPED = [
    Case("a bare list", f"[{A}, {B}]", ["a", "b"]),
    Case("a single object", A, ["a"]),
    Case("a single object under entries", f'{{"entries": {A}}}', ["a"]),
    Case("another key", f'{{"reviews": [{A}, {B}]}}', ["a", "b"]),
    Case("another key, nested", f'{{"data": {{"reviews": [{A}, {B}]}}}}', ["a", "b"]),
    Case("another key's case", f'{{"Entries": [{A}, {B}]}}', ["a", "b"]),
    Case("keys beside the list", f'{{"language": "en", "count": 2, "reviews": [{A}, {B}]}}', ["a", "b"]),
    Case("thoughts beside the entries", f'{{"thoughts": ["x", "y"], "entries": [{A}]}}', ["a"]),
    Case("entries twice", f'{{"entries": {{"entries": [{A}, {B}]}}}}', ["a", "b"]),
    Case("a list in a list", f"[[{A}], [{B}]]", ["a", "b"]),
    Case("plain strings", '["a", "b"]', ["a", "b"]),
    Case("plain strings under entries", '{"entries": ["a", "b"]}', ["a", "b"]),
    Case("strings in single quotes", "['a, b', 'it is \"c\"']", ["a, b", 'it is "c"']),
    Case("each entry under a key", f'{{"entries": [{{"review": {A}}}, {{"review": {B}}}]}}', ["a", "b"]),
    Case("a line for each", f"{A}\n{B}", ["a", "b"]),
    Case("a line for each, with commas", f"{A},\n{B}", ["a", "b"]),
    Case("numbered", f"1. {A}\n2. {B}", ["a", "b"]),
    Case("a fence for each", f"First:\n```json\n{A}\n```\nSecond:\n```json\n{B}\n```", ["a", "b"]),
    Case("unknown keys", '{"entries": [{"text": "a", "id": 1, "note": null}]}', ["a"]),
]

MARKED = [
    Case("trailing comma in the list", f'{{"entries": [{A}, {B},]}}', ["a", "b"]),
    Case("trailing comma in an entry", '{"entries": [{"text": "a",}]}', ["a"]),
    Case("missing comma between entries", f'{{"entries": [{A} {B}]}}', ["a", "b"]),
    Case("missing comma between members", '{"entries": [{"text": "a" "label": "bad"}]}', ["a"]),
    Case("two commas", f'{{"entries": [{A},, {B}]}}', ["a", "b"]),
    Case("missing last brace", f'{{"entries": [{A}, {B}]', ["a", "b"]),
    Case("surplus braces", f"{AB}}}}}", ["a", "b"]),
    Case("wrong last bracket", f'{{"entries": [{A}, {B}}}', ["a", "b"]),
    Case("single quotes", "{'entries': [{'text': 'a', 'label': 'good'}]}", ["a"]),
    Case("single quotes and an apostrophe", "{'entries': [{'text': 'it\\'s', 'label': 'good'}]}", ["it's"]),
    Case("a Python literal", "{'entries': [{'text': 'a', 'score': None}, {'text': \"it's\"}]}", ["a", "it's"]),
    Case("Python's words", '{"entries": [{"text": "a", "score": None}]}', ["a"]),
    Case("keys without quotes", '{entries: [{text: "a", label: "bad"}]}', ["a"]),
    Case("curly quotes", "{“entries”: [{“text”: “a”, “label”: “bad”}]}", ["a"]),
    Case("comments", '{"entries": [ // two\n{"text": "a" /* good */},\n# and\n{"text": "b"}]}', ["a", "b"]),
    Case("line feed in a text", '{"entries": [{"text": "a\nb"}]}', ["a\nb"]),
    Case("tabs and returns in a text", '{"entries": [{"text": "a\tb\r\n  c"}]}', ["a\tb\r\n  c"]),
    Case("an escaped apostrophe", '{"entries": [{"text": "it\\\'s"}]}', ["it's"]),
    Case("an unknown escape", '{"entries": [{"text": "a\\_b"}, {"text": "c"}]}', ["a\\_b", "c"]),
    Case("a Windows path", '{"entries": [{"text": "C:\\Windows"}]}', ["C:\\Windows"]),
    Case("inner quotes", '{"entries": [{"text": "say "hi" now"}, {"text": "b"}]}', ['say "hi" now', "b"]),
    Case("inner quotes and a comma", '{"entries": [{"text": "say "hi", then go"}]}', ['say "hi", then go']),
    Case("inches", '{"entries": [{"text": "a 5" nail"}, {"text": "b"}]}', ['a 5" nail', "b"]),
    Case("inches, and a label", '{"entries": [{"text": "5" nail", "label": "bad"}]}', ['5" nail']),
    Case("inner quotes at the end", '{"entries": [{"text": "say "hi"", "label": "bad"}]}', ['say "hi"']),
    Case("markup", '{"entries": [{"text": "<a href="x">y</a>"}]}', ['<a href="x">y</a>']),
    Case("brackets in a text", '{"entries": [{"text": "}]} [{"}, {"text": "```"},]}', ["}]} [{", "```"]),
    Case("JSON in a text", '```\n{"text": "[1, 2]"}\n```', ["[1, 2]"]),
    Case("a tag in a text", '{"entries": [{"text": "a </think> b"},]}', ["a </think> b"]),
    Case("a comment in a text", '{"entries": [{"text": "http://x.y /* z */"},]}', ["http://x.y /* z */"]),
    Case("surrogate pair", '{"entries": [{"text": "\\ud83d\\ude00"},]}', ["\U0001f600"]),
    Case("duplicate keys", '{"entries": [{"text": "a", "text": "b"}]}', ["b"]),
    Case("a null character", '{"entries": [{"text": "a\\u0000b"}]}', ["a\x00b"]),
]

PARTLY = [
    Case("a wrong type", f'{{"entries": [{A}, {{"text": 5}}, {B}]}}', ["a", "b"], 1),
    Case("a wrong label", f'{{"entries": [{A}, {{"text": "x", "label": "fine"}}]}}', ["a"], 1),
    Case("a missing field", f'{{"entries": [{{"label": "good"}}, {B}]}}', ["b"], 1),
    Case("null among them", f'{{"entries": [{A}, null, {B}]}}', ["a", "b"], 1),
    Case("an ellipsis", f'{{"entries": [{A}, ...]}}', ["a"], 1),
    Case("an empty object", f'{{"entries": [{A}, {{}}]}}', ["a"], 1),
    Case("an opening quote without its end", f'{{"entries": [{{"text": "x}}, {A}, {B}]}}', ["a", "b"], 1),
    Case("a text without opening quote", f'{{"entries": [{{"text": x", "label": "bad"}}, {A}, {B}]}}', ["a", "b"], 1),
    Case("half a surrogate pair", f'{{"entries": [{{"text": "\\ud83d"}}, {A}]}}', ["a"], 1),
    Case("not a number", f'{{"entries": [{{"text": "x", "score": NaN}}, {A}]}}', ["a"], 1),
    Case("too great a number", f'{{"entries": [{{"text": "x", "score": 1e999}}, {A}]}}', ["a"], 1),
    Case("a number of many digits", f'{{"entries": [{{"text": "x", "score": {"9" * 5000}}}, {A}]}}', ["a"], 1),
    Case("a deep entry", f'{{"entries": [{{"text": {"[" * 500}{"]" * 500}}}, {A}]}}', ["a"], 1),
    Case("two texts in one", '{"entries": [{"text": "x", "y", "label": "bad"}, {"text": "a"}]}', ["a"], 1),
    Case("two quotations", f'{{"entries": [{{"text": "he said "no", "yes" and left"}}, {A}]}}', ["a"], 1),
    Case("every entry wrong", '{"entries": [{"text": 1}, {"text": 2}]}', [], 2, "invalid"),
]

HALF = [
    Case("inside a text", f'{{"entries": [{A}, {{"text": "b and', ["a"], 0, "cut_off"),
    Case("inside a key", f'{{"entries": [{A}, {{"te', ["a"], 0, "cut_off"),
    Case("inside an escape", f'{{"entries": [{A}, {{"text": "b\\', ["a"], 0, "cut_off"),
    Case("after an entry", f'{{"entries": [{A}', ["a"], 0, "cut_off"),
    Case("after a comma", f'{{"entries": [{A},', ["a"], 0, "cut_off"),
    Case("before the first entry ends", '{"entries": [{"text": "a", "label": "good"', [], 0, "cut_off"),
    Case("in a fence", f'```json\n{{"entries": [{A}, {{"text": "b and', ["a"], 0, "cut_off"),
    Case("with a closed fence", f'```json\n{{"entries": [{A}, {{"text": "b and\n```', ["a"], 1),
    Case("in a bare list of strings", '["a", "b", "c and', ["a", "b"], 0, "cut_off"),
    Case("after a text that ends with brackets", f'{{"entries": [{A}, {{"text": "]}}', ["a"], 1),
    Case("after a draft", f'Draft: {A}\nAnswer: {{"text": "b and', ["a"], 0, "cut_off"),
    Case("after a draft of a list", f'[{A}]\nAnswer: {{"text": "b and', ["a"], 0, "cut_off"),
    Case("at once", "{", [], 0, "cut_off"),
    Case("in its reasoning", "<think>\nI could say [", [], 0, "cut_off"),
]

NOTHING = [
    Case("nothing", "", [], 0, "empty"),
    Case("blanks", " \n\t ", [], 0, "empty"),
    Case("an empty object", "{}", [], 0, "empty"),
    Case("an empty list", "[]", [], 0, "empty"),
    Case("no entries", '{"entries": []}', [], 0, "empty"),
    Case("no entries in a fence", '```json\n{"entries": [ ]}\n```', [], 0, "empty"),
    Case("null", "null", [], 0, "empty"),
    Case("an empty fence", "```json\n```", [], 0, "empty"),
    Case("only reasoning", "<think>hm</think>", [], 0, "empty"),
    Case("a refusal", "I'm sorry, but I can't help with that.", [], 0, "refused"),
    Case("another refusal", "I cannot write reviews that are not genuine.", [], 0, "refused"),
    Case("prose", "The film was good. Another one was bad.", [], 0, "invalid"),
    Case("markup", "<entries><entry>a</entry></entries>", [], 0, "invalid"),
    Case("a scalar", "42", [], 0, "invalid"),
    Case("the schema given back", '{"properties": {"text": {"type": "string"}}}', [], 1, "invalid"),
    Case("an error of the model", '{"error": "I can only write English."}', [], 1, "invalid"),
]

CASES = {
    f"{group}: {case.name}": case
    for group, cases in {
        "wrapped": WRAPPED,
        "shaped": SHAPED,
        "marked": MARKED,
        "partly": PARTLY,
        "half": HALF,
        "nothing": NOTHING,
    }.items()
    for case in cases
}
