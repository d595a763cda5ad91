-- The hub's state, for SQLite and PostgreSQL. Written in what both understand; the driver of PostgreSQL replaces
-- the two words that differ: BLOB by BYTEA, TEXT by TEXT COLLATE "C". Times are Unix milliseconds. The table meta is
-- there already: key, value; its rows are 'schema' (the number of the newest file applied), 'version' (of the
-- routes), 'pruned' (the change log has nothing up to and including this version any more).

INSERT INTO meta (key, value) VALUES ('version', 1), ('pruned', 1);

CREATE TABLE tenants (
	id BLOB NOT NULL PRIMARY KEY,          -- SHA-256 of public_key
	public_key BLOB NOT NULL,              -- ML-DSA-65
	created_ms BIGINT NOT NULL,
	last_sequence BIGINT NOT NULL,         -- the highest accepted
	pruned_sequence BIGINT NOT NULL,       -- entries up to here may have been dropped: none of these is free
	connections_max BIGINT NOT NULL DEFAULT 0, -- what it may use of each edge; 0: no limit
	bytes_in_per_sec BIGINT NOT NULL DEFAULT 0,
	bytes_out_per_sec BIGINT NOT NULL DEFAULT 0,
	entry_count BIGINT NOT NULL,           -- rows of entries and of hostnames that are this tenant's:
	hostname_count BIGINT NOT NULL         -- counting them anew for each entry would not do
);

-- An invite outlives its tenant, so that a dead token stays dead.
CREATE TABLE invites (
	id BLOB NOT NULL PRIMARY KEY,
	tenant_id BLOB NOT NULL UNIQUE,
	name TEXT NOT NULL,
	secret_hash BLOB NOT NULL,
	created_ms BIGINT NOT NULL,
	expires_ms BIGINT,
	revoked_ms BIGINT
);
CREATE INDEX invites_by_time ON invites (created_ms, id);

-- What a tenant may use. zone is the wildcard that would match the pattern ('' for a wildcard), so that
-- overlap of two tenants is one probe in either direction.
CREATE TABLE patterns (
	pattern TEXT NOT NULL PRIMARY KEY,
	zone TEXT NOT NULL,
	tenant_id BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE INDEX patterns_by_zone ON patterns (zone);
CREATE INDEX patterns_by_tenant ON patterns (tenant_id);

-- What tenants said, as they signed it. subject is what it is about ('agent/<hex>', 'hostname/<name>',
-- 'tcp/<name>', 'udp/<name>', 'tenant'); effect is 0 when it adds to what was said of the subject before, 1 when it
-- stands for all of it, 2 when it ends it.
CREATE TABLE entries (
	tenant_id BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
	sequence BIGINT NOT NULL,
	subject TEXT NOT NULL,
	effect BIGINT NOT NULL,
	jws TEXT NOT NULL,
	accepted_ms BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, sequence)
);
CREATE INDEX entries_by_subject ON entries (tenant_id, subject, sequence);

-- What follows from the entries.
CREATE TABLE hostnames (
	pattern TEXT NOT NULL PRIMARY KEY,
	zone TEXT NOT NULL,
	tenant_id BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
	tls_mode BIGINT NOT NULL,              -- 0 passthrough, 1 terminate
	http_mode BIGINT NOT NULL,             -- 0 forwarded, 1 plain, 2 h2c, 3 challenge
	access TEXT NOT NULL DEFAULT '',       -- who may come: prefixes, '!', prefixes that may not; '': everybody
	changed_ms BIGINT NOT NULL
);
CREATE INDEX hostnames_by_tenant ON hostnames (tenant_id);

-- Each number that is somebody's: a service has it, or it is reserved for the tenant, or both. A service with a range
-- has a row for each of its ports.
CREATE TABLE ports (
	protocol BIGINT NOT NULL,              -- 0 tcp, 1 udp
	port BIGINT NOT NULL,
	tenant_id BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
	service TEXT NOT NULL,                 -- '': none now
	idle_timeout_secs BIGINT NOT NULL,     -- of the service; 0 for tcp
	access TEXT NOT NULL DEFAULT '',       -- of the service, as a hostname's
	reserved BIGINT NOT NULL,              -- 0 or 1
	label TEXT NOT NULL,                   -- of the reservation
	claimed_ms BIGINT NOT NULL,            -- since when it is the tenant's
	PRIMARY KEY (protocol, port),
	CHECK (service <> '' OR reserved = 1)
);
CREATE INDEX ports_by_service ON ports (tenant_id, protocol, service);

CREATE TABLE agents (
	tenant_id BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
	id BLOB NOT NULL,
	generation BIGINT NOT NULL,
	services_hash BLOB NOT NULL,
	expires_ms BIGINT NOT NULL,
	announced_ms BIGINT NOT NULL,          -- when its entry was taken last
	revoked BIGINT NOT NULL,               -- 0 or 1; final
	report TEXT NOT NULL DEFAULT '',       -- JSON: what it says of itself, for people
	PRIMARY KEY (tenant_id, id)
);
CREATE INDEX agents_by_expiry ON agents (expires_ms);

-- Edges apart from a hub: who was invited. A revoked one stays, so that its key stays dead.
CREATE TABLE edge_invites (
	id BLOB NOT NULL PRIMARY KEY,
	node_id BLOB NOT NULL UNIQUE,          -- the edge's public key
	name TEXT NOT NULL,
	secret_hash BLOB,                      -- NULL: the edge has made its key itself
	created_ms BIGINT NOT NULL,
	revoked_ms BIGINT
);
CREATE INDEX edge_invites_by_time ON edge_invites (created_ms, id);

-- What edges said of themselves last, those in the process of a hub (which nobody invites) included.
CREATE TABLE edges (
	node_id BLOB NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,                    -- of one that was not invited
	report TEXT NOT NULL,                  -- JSON: addresses, version, agents, failed_ports
	seen_ms BIGINT NOT NULL
);

-- Who asked for what, written with what it tells. actor is the tenant that signed an entry, or empty for the operator;
-- nth counts what one actor did, so that the oldest of it can go. Outlives the tenants that it names.
CREATE TABLE audit (
	id BIGINT NOT NULL PRIMARY KEY,        -- in the order of the commits
	at_ms BIGINT NOT NULL,
	actor BLOB NOT NULL,
	nth BIGINT NOT NULL,
	action TEXT NOT NULL,                  -- 'invite.create', 'entry.upsert_hostname' ...
	tenant_id BLOB,                        -- to whom; NULL: to none of them
	subject TEXT NOT NULL,                 -- the hostname, the port ...; may be empty
	source TEXT NOT NULL,                  -- the address that it came from
	request_id TEXT NOT NULL,
	UNIQUE (actor, nth)
);
CREATE INDEX audit_by_tenant ON audit (tenant_id, id);
CREATE INDEX audit_by_time ON audit (at_ms);

-- Which things changed in which version of the routes; what they are now is in the tables above. One of:
-- a tenant (tenant_id), an agent (tenant_id, agent_id), a hostname (pattern), a port (protocol, port), which is there
-- once, as a claim may change hundreds.
CREATE TABLE changes (
	version BIGINT NOT NULL,
	tenant_id BLOB,
	agent_id BLOB,
	pattern TEXT,
	protocol BIGINT,
	port BIGINT
);
CREATE INDEX changes_by_version ON changes (version);
CREATE INDEX changes_by_port ON changes (protocol, port) WHERE port IS NOT NULL;
