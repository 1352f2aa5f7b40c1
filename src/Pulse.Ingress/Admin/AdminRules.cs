using System.Globalization;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Admin;

/// <summary>What the query of a list must look like.</summary>
static class AdminRules
{
    public const int SearchMost = 100;

    public static readonly IReadOnlyList<string> Statuses = ["active", "suspended", "pending_deletion"];

    /// <summary>What is asked of the list of organizations, or null and what is wrong: field → messages.</summary>
    public static OrganizationQuery? Organizations(IQueryCollection query, out OrderedDictionary<string, string[]> errors)
    {
        errors = [];
        var limit = ListQuery.Limit(query, errors);
        var status = ListQuery.One(query, "status", errors);
        if (status is not null && !Statuses.Contains(status))
            errors["status"] = [$"status is one of {string.Join(", ", Statuses)}."];

        var search = ListQuery.One(query, "q", errors)?.Trim();
        if (search is { Length: 0 } or { Length: > SearchMost } || search?.Any(char.IsControl) == true)
            errors["q"] = [$"q is the beginning of a name or of an email, 1 to {SearchMost} characters."];

        var place = search is null ? Place.Newest : Place.FirstName;
        if (ListQuery.One(query, "cursor", errors) is { } cursor)
            place = Place.Read(cursor, search is not null);
        if (place is null)
            errors["cursor"] = ["cursor is not one that this list gave."];

        return errors.Count > 0 ? null : new OrganizationQuery(status, search, limit, place!);
    }

    /// <summary>What is asked of an audit log, or null and what is wrong.</summary>
    public static AuditQuery? Audit(IQueryCollection query, out OrderedDictionary<string, string[]> errors)
    {
        errors = [];
        var limit = ListQuery.Limit(query, errors);
        var before = long.MaxValue;
        if (ListQuery.One(query, "cursor", errors) is { } cursor
            && !(Cursor.Read(cursor) is ["a", var text] && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out before)))
            errors["cursor"] = ["cursor is not one that this list gave."];

        return errors.Count > 0 ? null : new AuditQuery(before, limit);
    }
}

/// <param name="Status">Only these; null for all.</param>
/// <param name="Search">Only those whose name or owner's email begins so; null for all.</param>
/// <param name="After">Where to go on.</param>
sealed record OrganizationQuery(string? Status, string? Search, int Limit, Place After);

/// <param name="Before">Only older ones.</param>
sealed record AuditQuery(long Before, int Limit);

/// <summary>A place in one of the orders of organizations: by age, the newest first; by name; by the owner's email.</summary>
sealed record Place(string Order, string Key, DateTime CreatedAt, Guid OrgId)
{
    public const string ByAge = "t";
    public const string ByName = "n";
    public const string ByEmail = "e";

    static readonly Guid Last = new("ffffffff-ffff-ffff-ffff-ffffffffffff");

    public static readonly Place Newest = new(ByAge, "", DateTime.SpecifyKind(DateTime.MaxValue, DateTimeKind.Utc), Last);
    public static readonly Place FirstName = new(ByName, "", default, Guid.Empty);

    public string ToCursor() => Order == ByAge
        ? Cursor.Write(Order, CreatedAt.Ticks.ToString(CultureInfo.InvariantCulture), OrgId.ToString("N"))
        : Cursor.Write(Order, Key, OrgId.ToString("N"));

    /// <summary>Null for a cursor of another list, or of none.</summary>
    public static Place? Read(string cursor, bool searched)
    {
        if (Cursor.Read(cursor) is not [var order, var key, var id] || !Guid.TryParseExact(id, "N", out var orgId))
            return null;
        if (searched)
            return order is ByName or ByEmail ? new Place(order, key, default, orgId) : null;

        return order == ByAge && long.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out var ticks) && ticks <= DateTime.MaxValue.Ticks
            ? new Place(order, "", new DateTime(ticks, DateTimeKind.Utc), orgId)
            : null;
    }
}
