-- One row for each project that a backup is shared to. The columns after
-- to_project_id are those of the shared backup.
CREATE TABLE IF NOT EXISTS backup_sharing (
    id                TEXT NOT NULL PRIMARY KEY,
    backup_id         TEXT NOT NULL,
    from_project_id   TEXT NOT NULL,
    to_project_id     TEXT NOT NULL,
    name              TEXT NOT NULL,
    status            TEXT NOT NULL,
    volume_id         TEXT NOT NULL,
    availability_zone TEXT NOT NULL
) WITHOUT ROWID;

-- A count reads the rows of one project on one side, and from the index alone.
CREATE INDEX IF NOT EXISTS backup_sharing_from ON backup_sharing
    (from_project_id, to_project_id, backup_id, volume_id, status, availability_zone, name);
CREATE INDEX IF NOT EXISTS backup_sharing_to ON backup_sharing
    (to_project_id, from_project_id, backup_id, volume_id, status, availability_zone, name);
