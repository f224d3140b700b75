"""Marks of reasoning as models and servers write them."""

FORMS: dict[str, tuple[str, str]] = {
    "a tag": ("<think>\n", "</think>\n\n"),
    "a tag in capitals": ("<THINK>\n", "</THINK>\n"),
    "another name": ("<thinking>", "</thinking>\n"),
    "a name in the plural": ("<thoughts>\n", "</thoughts>\n"),
    "a short name": ("<reason>\n", "</reason>\n"),
    "the analysis": ("<analysis>\n", "</analysis>\n"),
    "a name with a colon": ("<seed:think>", "</seed:think>"),
    "a note of the budget": (
        "<seed:think><seed:cot_budget_reflect>I have used 100 tokens.</seed:cot_budget_reflect>",
        "</seed:think>",
    ),
    "a name with a prefix": ("<longcat_think>\n", "</longcat_think>\n"),
    "a name with a suffix": ("<thought_process>\n", "</thought_process>\n"),
    "an attribute": ('<think time="12">', "</think>"),
    "blanks inside the tag": ("< think >", "</ think >"),
    "full-width brackets": ("＜think＞", "＜/think＞"),
    "an answer tag behind it": ("<think>", "</think><answer>"),
    "a box behind it": ("<think>", "</think><|begin_of_box|>"),
    "square brackets": ("[THINK]", "[/THINK]"),
    "triangles": ("◁think▷", "◁/think▷"),
    "begin and end": ("<|begin_of_thought|>\n", "\n<|end_of_thought|>\n\n<|begin_of_solution|>\n"),
    "start and end": ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
    "bars": ("<|think|>", "<|/think|>"),
    "a channel of Gemma": ("<|channel>thought\n", "<channel|>"),
    "unused tokens": ("<unused94>thought\n", "<unused95>"),
    "a folded section": ('<details type="reasoning" done="true">\n', "\n</details>\n"),
    "harmony": (
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    "harmony from its very start": (
        "<|start|>assistant<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    "harmony with a constraint": (
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final <|constrain|>code<|message|>",
    ),
    "harmony with a call": (
        "<|channel|>commentary to=functions.run <|constrain|>json<|message|>",
        "<|call|><|start|>assistant<|channel|>final<|message|>",
    ),
    "harmony without its tokens": ("analysis", "assistantfinal"),
    "harmony without its tokens, on lines": ("analysis\n", "\nassistantfinal\n"),
    "headings": ("Here is my thought process:\n", "\nHere is my response:\n"),
    "short headings": ("Here's my thought process:\n", "Here's my response:"),
    "steps": ("Here are my reasoning steps:\n", "\n[BEGIN FINAL RESPONSE]\n"),
    "the words of a terminal": ("Thinking...\n", "\n...done thinking.\n\n"),
}
"""The marks that open and close reasoning, by a description."""

QUOTATION = "> **Reasoning**\n> First a draft.\n> ```python\n> def wrong():\n> ```\n\n"
