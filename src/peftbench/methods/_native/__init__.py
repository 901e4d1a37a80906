"""Our own adapters, carried by `peft`: one config, one tuner, one layer for all of them.

A method states where it acts and how (`NativeMethod.parts`); the tuner puts each `Part`
around a module of the base model. Saving, loading, merging and switching adapters are
`peft`'s own, and `PeftModel.from_pretrained` opens what was saved.
"""
