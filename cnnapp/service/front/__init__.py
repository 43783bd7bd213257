"""What a request passes before it comes to a model: its connection, who sends it, its body, and its turn.

``connections`` bounds what uvicorn takes of a client, ``access`` and ``tokens`` say who may ask, ``bodies`` reads what
was sent, and ``fair_queue`` says whose turn it is.
"""
