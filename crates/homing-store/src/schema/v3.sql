-- What a source's revision says of itself, and which revision a source was at after a run.
ALTER TABLE sources ADD COLUMN revision_time TEXT;
ALTER TABLE sources ADD COLUMN revision_subject TEXT;
ALTER TABLE sync_history ADD COLUMN revision TEXT;
