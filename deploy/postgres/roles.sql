-- The two roles of Pulse, and its database. Run it once, as a superuser, with psql:
--
--   psql -v worker_password=… -v ingress_password=… -f deploy/postgres/roles.sql
--
-- pulse_worker owns the schemas and migrates them. pulse_ingress owns nothing; the migrations grant it what its endpoints need.
select format('create role pulse_worker login password %L', :'worker_password')
where not exists (select from pg_roles where rolname = 'pulse_worker') \gexec
select format('create role pulse_ingress login password %L', :'ingress_password')
where not exists (select from pg_roles where rolname = 'pulse_ingress') \gexec
select 'create database pulse owner pulse_worker'
where not exists (select from pg_database where datname = 'pulse') \gexec
revoke all on database pulse from public;
grant connect on database pulse to pulse_ingress;
\connect pulse
revoke all on schema public from public;
