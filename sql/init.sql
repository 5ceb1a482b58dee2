-- What the other files use.
-- Lines of the text format since the last call.
CREATE FUNCTION decoded(VARIADIC options text[] DEFAULT '{}')
RETURNS SETOF text LANGUAGE sql AS $$
	SELECT data FROM pg_logical_slot_get_changes('regress', NULL, NULL,
		VARIADIC array['format', 'text'] || options)
$$;
-- The same without consuming them.
CREATE FUNCTION peeked(VARIADIC options text[] DEFAULT '{}')
RETURNS SETOF text LANGUAGE sql AS $$
	SELECT data FROM pg_logical_slot_peek_changes('regress', NULL, NULL,
		VARIADIC array['format', 'text'] || options)
$$;
-- Packets of the binary format.
CREATE FUNCTION packets(VARIADIC options text[] DEFAULT '{}')
RETURNS SETOF bytea LANGUAGE sql AS $$
	SELECT data FROM pg_logical_slot_get_binary_changes('regress', NULL, NULL,
		VARIADIC options)
$$;
SELECT slot_name FROM pg_create_logical_replication_slot('regress', 'cdc_s3');
SELECT plugin, slot_type, temporary FROM pg_replication_slots;
-- Nothing to tell.
SELECT * FROM decoded();
