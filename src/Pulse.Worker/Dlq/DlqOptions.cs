namespace Pulse.Worker.Dlq;

/// <summary>A command line of <c>./pulse dlq</c>, read. Pure.</summary>
sealed record DlqOptions
{
    public required string Verb { get; init; }

    /// <summary>Ids, in the order given.</summary>
    public required IReadOnlyList<string> Ids { get; init; }

    /// <summary>Filters and numbers by their names, as the API calls them.</summary>
    public required IReadOnlyDictionary<string, string> Values { get; init; }
    public required IReadOnlySet<string> Flags { get; init; }

    public bool Json => Flags.Contains("json");

    public static readonly IReadOnlyList<string> Filters = ["queue", "type", "exception", "fingerprint", "reason", "org", "id", "status", "from", "to", "q"];

    /// <summary>Those of its filters that were given.</summary>
    public IEnumerable<KeyValuePair<string, string>> Filter => Values.Where(value => Filters.Contains(value.Key));

    // What each verb knows: values, flags, and how many ids it takes.
    static readonly Dictionary<string, (string[] Values, string[] Flags, int Least, int Most)> Verbs = new(StringComparer.Ordinal)
    {
        ["list"] = ([.. Filters, "limit"], ["json"], 0, 0),
        ["groups"] = (["queue", "status", "limit"], ["json"], 0, 0),
        ["show"] = ([], ["json", "reveal"], 1, 1),
        ["replays"] = (["status", "limit"], ["json"], 0, 0),
        ["replay"] = ([.. Filters, "rate", "canary", "stop-ratio", "sample"], ["json", "all", "yes", "no-preview"], 0, 10_000),
        ["start"] = (["rate", "canary", "stop-ratio"], ["json"], 1, 1),
        ["follow"] = ([], ["json"], 1, 1),
        ["pause"] = ([], ["json"], 1, 1),
        ["resume"] = ([], ["json"], 1, 1),
        ["cancel"] = ([], ["json"], 1, 1),
        ["discard"] = ([.. Filters, "say"], ["json", "all"], 0, 10_000),
        ["restore"] = ([.. Filters, "say"], ["json", "all"], 0, 10_000),
    };

    /// <returns>Null, and what is wrong with it.</returns>
    public static DlqOptions? Read(IReadOnlyList<string> args, out string mistake)
    {
        mistake = "";
        if (args.Count == 0 || !Verbs.TryGetValue(args[0], out var knows))
        {
            mistake = args.Count == 0 ? "dlq needs a verb." : $"dlq does not know '{args[0]}'.";
            return null;
        }

        var (ids, values, flags) = (new List<string>(), new Dictionary<string, string>(StringComparer.Ordinal), new HashSet<string>(StringComparer.Ordinal));
        for (var at = 1; at < args.Count; at++)
        {
            if (!args[at].StartsWith("--", StringComparison.Ordinal))
            {
                ids.Add(args[at]);
                continue;
            }

            var parts = args[at][2..].Split('=', 2);
            if (knows.Flags.Contains(parts[0]) && parts.Length == 1)
                flags.Add(parts[0]);
            else if (!knows.Values.Contains(parts[0]))
                mistake = $"dlq {args[0]} does not know '--{parts[0]}'.";
            else if (parts.Length == 1 && at + 1 == args.Count)
                mistake = $"--{parts[0]} needs a value.";
            else if (!values.TryAdd(parts[0], parts.Length == 2 ? parts[1] : args[++at]))
                mistake = $"--{parts[0]} stands there twice.";

            if (mistake.Length > 0)
                return null;
        }

        mistake = Together(args[0], knows.Least, knows.Most, ids, values, flags);
        return mistake.Length > 0 ? null : new DlqOptions { Verb = args[0], Ids = ids, Values = values, Flags = flags };
    }

    static string Together(string verb, int least, int most, List<string> ids, Dictionary<string, string> values, HashSet<string> flags)
    {
        if (ids.Count < least || ids.Count > most)
            return most == 0 ? $"dlq {verb} takes no id: '{ids[0]}'." : $"dlq {verb} needs {(most == 1 ? "one id" : "ids")}.";
        if (ids.Find(id => !Guid.TryParseExact(id, "D", out _)) is { } wrong)
            return $"'{wrong}' is no id.";
        if (verb is not ("replay" or "discard" or "restore"))
            return "";

        // Never everything by accident.
        var filtered = values.Keys.Any(Filters.Contains);
        if ((ids.Count > 0 ? 1 : 0) + (filtered ? 1 : 0) + (flags.Contains("all") ? 1 : 0) != 1)
            return $"dlq {verb} needs ids, or a filter, or --all: one of them.";
        return verb != "replay" && !values.ContainsKey("say") ? $"dlq {verb} needs --say WHY, for the audit log." : "";
    }
}
