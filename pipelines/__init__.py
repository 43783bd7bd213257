"""From labelled images to a SavedModel: sources, models, the training loop, export.

Each task is one module with the same hooks (:class:`pipelines.training.task.Task`)::

    from pipelines import classification

    trained = classification.train(data="digits", model="convnet", name="digits")
    print(trained.path, trained.card.metrics["test"]["accuracy"])
"""
