"""Ways to reach a person.

To add one: implement `base.Channel`, name it in `registry`, append it to the conformance tests.
"""
