"""Tables of people: a scenario is made of one, or courses of people of a scenario that is declared already.

``scenario.py`` makes a scenario of a table that ``spec.py`` describes. Cells are read (``sheet.py``, ``meds.py``), all
that is wrong is told (``check.py``, ``columns.py``, ``mixed_units.py``, ``problems.py``), and what is right is put on a
grid of steps (``grid.py``); rewards and costs come from ``terms.py``. ``courses.py`` reads and writes courses, of which
``course_problems.py`` tells what is wrong; ``minari.py`` does so with Minari datasets.
"""
