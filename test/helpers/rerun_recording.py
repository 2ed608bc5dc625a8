"""What recordings of rerun hold."""


def held(path):
    """The columns by name, by entity, of all rows; stamps in seconds."""
    from rerun.chunk import RrdReader

    stored = {}
    for chunk in RrdReader(path).stream().to_chunks():
        batch = chunk.to_record_batch()
        for name in batch.schema.names:
            if name == "stamp" or ":" in name:
                column = batch.column(name)
                values = column.cast("int64").to_numpy() / 1e9 if name == "stamp" else column.to_pylist()
                stored.setdefault(chunk.entity_path, {}).setdefault(name, []).extend(values)
    return stored
