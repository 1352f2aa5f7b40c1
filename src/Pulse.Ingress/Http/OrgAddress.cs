namespace Pulse.Ingress.Http;

/// <summary>How organizations are named in paths and answers: by their id, and the platform's own as <c>default</c>.</summary>
static class OrgAddress
{
    public const string Default = "default";

    /// <summary>The platform's own organization: there from the first migration.</summary>
    public static readonly Guid DefaultId = new("00000000-0000-7000-8000-000000000000");

    /// <summary>Reads it from a path; null when no organization can have that name: ids are UUIDs of version 7.</summary>
    public static Guid? Parse(string text) =>
        text == Default ? DefaultId
        : TryParse(text, out var id) && id.Version == 7 ? id
        : null;

    /// <summary>Reads an id as it is written in answers: Guid itself would pass over blanks around it.</summary>
    public static bool TryParse(string text, out Guid id)
    {
        id = default;
        return text.Length == 36 && Guid.TryParseExact(text, "D", out id);
    }

    /// <summary>As it stands in answers.</summary>
    public static string Text(Guid orgId) => orgId == DefaultId ? Default : orgId.ToString();
}
