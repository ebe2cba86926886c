PLAN = None
