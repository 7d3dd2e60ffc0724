-- What an item is, by its content and its path. item_kind NULL: not examined yet; findings NULL: nothing is to be said.
ALTER TABLE agent_files ADD COLUMN item_kind INTEGER;
ALTER TABLE agent_files ADD COLUMN name TEXT;
ALTER TABLE agent_files ADD COLUMN version TEXT;
ALTER TABLE agent_files ADD COLUMN findings TEXT;
