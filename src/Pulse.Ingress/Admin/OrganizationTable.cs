using Npgsql;
using NpgsqlTypes;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Admin;

/// <summary>Organizations as operators see them.</summary>
static class OrganizationTable
{
    /// <param name="At">Its place in the list.</param>
    public sealed record Row(Organization Organization, Place At);

    const string Columns = """
        o.org_id, o.name, o.status, o.owner_email, o.created_at,
        o.suspended_at, o.suspend_reason, o.deletion_requested_at, o.retention_days, o.purge_after, o.legal_hold_at, o.legal_hold_reason
        """;

    const string FindSql = $"select {Columns} from pulse.organizations_v1 o where o.org_id = $1";

    public static async Task<Organization?> FindAsync(NpgsqlDataSource dataSource, Guid orgId, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(FindSql);
        command.Parameters.Add(Value(orgId));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    const string ListSql = $"""
        select {Columns} from pulse.organizations_v1 o
        where (o.created_at, o.org_id) < ($1, $2) and ($3 is null or o.status = $3)
        order by o.created_at desc, o.org_id desc limit $4
        """;

    // Spelled out, so that the planner sees that the small index of all that are not active has them.
    const string ListNotActiveSql = $"""
        select {Columns} from pulse.organizations_v1 o
        where (o.created_at, o.org_id) < ($1, $2) and o.status = $3 and o.status <> 'active'
        order by o.created_at desc, o.org_id desc limit $4
        """;

    // Two walks along an index, one behind the other: first by name, then by email those that were not found by name. A list that is
    // sorted in any other way would have to find every match first. The one lower bound is a pair's: beside it, Postgres would begin at it
    // and not at the other, and read all names that come before.
    const string SearchSql = $"""
        with by_name as (
            select 'n' as walk, n.key, n.org_id from pulse.organization_names_v1 n
            where $3 and (n.key, n.org_id) > (greatest($4, lower($1)) collate "C", $5) and n.key < lower($1) || chr(1114111) and ($8 is null or n.status = $8)
            order by n.key, n.org_id limit $9),
        by_email as (
            select 'e' as walk, e.key, e.org_id from pulse.organization_owners_v1 e join pulse.organizations_v1 o using (org_id)
            where (e.key, e.org_id) > (greatest($6, $2) collate "C", $7) and e.key >= $2 and e.key < $2 || chr(1114111) and ($8 is null or o.status = $8)
            and o.owner_email = e.email and not starts_with(lower(o.name), lower($1))
            order by e.key, e.org_id limit $9)
        select {Columns}, f.walk, f.key from (select * from by_name union all select * from by_email) f join pulse.organizations_v1 o using (org_id)
        order by f.walk desc, f.key, f.org_id limit $9
        """;

    /// <summary>One more than the limit, if there is one.</summary>
    public static Task<IReadOnlyList<Row>> ListAsync(NpgsqlDataSource dataSource, OrganizationQuery query, CancellationToken cancellationToken) =>
        query.Search is null ? ByAgeAsync(dataSource, query, cancellationToken) : SearchAsync(dataSource, query, query.Search, cancellationToken);

    static async Task<IReadOnlyList<Row>> ByAgeAsync(NpgsqlDataSource dataSource, OrganizationQuery query, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(query.Status is null or "active" ? ListSql : ListNotActiveSql);
        command.Parameters.Add(Value(query.After.CreatedAt));
        command.Parameters.Add(Value(query.After.OrgId));
        command.Parameters.Add(Text(query.Status));
        command.Parameters.Add(Value(query.Limit + 1));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var rows = new List<Row>();
        while (await reader.ReadAsync(cancellationToken))
            rows.Add(new Row(Read(reader), new Place(Place.ByAge, "", reader.GetDateTime(4), reader.GetGuid(0))));

        return rows;
    }

    static async Task<IReadOnlyList<Row>> SearchAsync(NpgsqlDataSource dataSource, OrganizationQuery query, string search, CancellationToken cancellationToken)
    {
        var inNames = query.After.Order == Place.ByName;
        await using var command = dataSource.CreateCommand(SearchSql);
        command.Parameters.Add(Text(search));
        command.Parameters.Add(Text(search.ToLowerInvariant()));
        command.Parameters.Add(Value(inNames));
        command.Parameters.Add(Text(inNames ? query.After.Key : ""));
        command.Parameters.Add(Value(inNames ? query.After.OrgId : Guid.Empty));
        command.Parameters.Add(Text(inNames ? "" : query.After.Key));
        command.Parameters.Add(Value(inNames ? Guid.Empty : query.After.OrgId));
        command.Parameters.Add(Text(query.Status));
        command.Parameters.Add(Value(query.Limit + 1));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var rows = new List<Row>();
        while (await reader.ReadAsync(cancellationToken))
            rows.Add(new Row(Read(reader), new Place(reader.GetString(12), reader.GetString(13), default, reader.GetGuid(0))));

        return rows;
    }

    static Organization Read(NpgsqlDataReader reader) => new()
    {
        OrgId = OrgAddress.Text(reader.GetGuid(0)),
        Name = reader.GetString(1),
        Status = reader.GetString(2),
        OwnerEmail = reader.IsDBNull(3) ? null : reader.GetString(3),
        CreatedAt = reader.GetDateTime(4),
        SuspendedAt = Time(reader, 5),
        SuspendReason = reader.IsDBNull(6) ? null : reader.GetString(6),
        DeletionRequestedAt = Time(reader, 7),
        RetentionDays = reader.IsDBNull(8) ? null : reader.GetInt32(8),
        PurgeAfter = Time(reader, 9),
        LegalHoldAt = Time(reader, 10),
        LegalHoldReason = reader.IsDBNull(11) ? null : reader.GetString(11),
    };

    static DateTime? Time(NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetDateTime(column);

    static NpgsqlParameter<T> Value<T>(T value) => new() { TypedValue = value };

    static NpgsqlParameter<string?> Text(string? value) => new() { TypedValue = value, NpgsqlDbType = NpgsqlDbType.Text };
}
