-- The roles of Pulse, and its database. Run it as a superuser, with psql; once more does no harm:
--
--   psql -v worker_password=… -v ingress_password=… -f deploy/postgres/roles.sql
--
-- pulse_worker owns the schemas and migrates them. pulse_ingress owns nothing; the migrations grant it what its endpoints need. pulse_tenant
-- is what ingress becomes for the length of a transaction to answer a question of one tenant: row-level security shows it that one's rows.
select format('create role pulse_worker login password %L', :'worker_password')
where not exists (select from pg_roles where rolname = 'pulse_worker') \gexec
select format('create role pulse_ingress login password %L', :'ingress_password')
where not exists (select from pg_roles where rolname = 'pulse_ingress') \gexec
select 'create role pulse_tenant nologin noinherit'
where not exists (select from pg_roles where rolname = 'pulse_tenant') \gexec
-- By set role only, never by itself: without this it could read as any tenant at any time.
alter role pulse_ingress noinherit;
select 'grant pulse_tenant to pulse_ingress' where not pg_has_role('pulse_ingress', 'pulse_tenant', 'member') \gexec
select 'create database pulse owner pulse_worker'
where not exists (select from pg_database where datname = 'pulse') \gexec
revoke all on database pulse from public;
grant connect on database pulse to pulse_ingress;
\connect pulse
revoke all on schema public from public;
