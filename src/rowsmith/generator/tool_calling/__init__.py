"""The kind `tool_calling`: conversations in which an assistant calls tools.

`kind` makes one, from the request to the answer. `call_schema` says what a call looks like in an answer, `wording` what
models are told, `results` how results are read; `talk` is the conversation so far. `tools` has the tools that the
settings name, and who answers for them in a run.
"""
