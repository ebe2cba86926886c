"""Tables of people: a scenario is made of one, or courses of people of a scenario that is declared already.

``scenario.py`` makes a scenario of a table that ``spec.py`` describes. Cells are read (``files.py``, ``meds.py``) as
numbers (``sheet.py``, ``parsed.py``), all that is wrong is told (``check.py``, ``columns.py``, ``people.py``,
``mixed_units.py``, ``grid_problems.py``, ``problems.py``), and what is right is put on a grid of steps (``steps.py``,
``grid.py``); rewards and costs come from ``terms.py``. ``courses.py`` reads and writes courses, of which
``course_problems.py`` tells what is wrong; ``minari.py`` does so with Minari datasets.
"""
