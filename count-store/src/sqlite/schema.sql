-- One row for each project that a backup is shared to. The list of its columns is
-- COLUMNS in ../columns.rs; those after to_project_id are the shared backup's.
CREATE TABLE IF NOT EXISTS backup_sharing ({columns});

-- Not the primary key: an index can be made once all rows are there, which is
-- faster, and the table is in the order of its rows, which makes entries of the
-- other indexes 33 bytes shorter.
CREATE UNIQUE INDEX IF NOT EXISTS backup_sharing_by_id ON backup_sharing (id);

-- A count reads the rows that match, or those that match the one filter that
-- leaves the fewest: few rows are looked up in the table, many are told from the
-- index alone. lower(name) is how a name is compared.
CREATE INDEX IF NOT EXISTS backup_sharing_by_projects ON backup_sharing
    (from_project_id, to_project_id, status, availability_zone, lower(name));

CREATE INDEX IF NOT EXISTS backup_sharing_from_by_backup ON backup_sharing
    (from_project_id, backup_id);
CREATE INDEX IF NOT EXISTS backup_sharing_from_by_volume ON backup_sharing
    (from_project_id, volume_id);
CREATE INDEX IF NOT EXISTS backup_sharing_from_by_status ON backup_sharing
    (from_project_id, status, availability_zone, lower(name));
CREATE INDEX IF NOT EXISTS backup_sharing_from_by_zone ON backup_sharing
    (from_project_id, availability_zone, lower(name));

CREATE INDEX IF NOT EXISTS backup_sharing_to_by_backup ON backup_sharing
    (to_project_id, backup_id);
CREATE INDEX IF NOT EXISTS backup_sharing_to_by_volume ON backup_sharing
    (to_project_id, volume_id);
CREATE INDEX IF NOT EXISTS backup_sharing_to_by_status ON backup_sharing
    (to_project_id, status, availability_zone, lower(name));
CREATE INDEX IF NOT EXISTS backup_sharing_to_by_zone ON backup_sharing
    (to_project_id, availability_zone, lower(name));
