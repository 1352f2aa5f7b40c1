using Pulse.Contracts.DeadLetters;

namespace Pulse.Worker.DeadLetters;

/// <summary>What is said of plans and previews. Pure.</summary>
static class ReplayText
{
    static readonly Dictionary<string, string> Whys = new()
    {
        ["gone"] = "are gone",
        ["body_cut"] = "are too large to be kept whole",
        ["discarded"] = "are discarded",
        ["edited"] = "have an edited copy",
        ["resolved"] = "are resolved",
        ["in_active_replay"] = "are in another replay",
        ["quarantined"] = "are quarantined",
    };

    public static string NothingToReplay(ReplayPlan plan) => plan.Excluded.Count == 0
        ? "No dead letter is found."
        : $"Of {plan.Found}, {string.Join(", ", plan.Excluded.Select(part => $"{part.Letters} {Whys.GetValueOrDefault(part.Why, part.Why)}"))}.";

    /// <summary>"3 would create, 41 would change nothing, 2 would still fail".</summary>
    public static string Summary(PreviewResult preview)
    {
        var parts = new List<string>();
        Add(preview.WouldCreate, "would create");
        Add(preview.WouldChange, "would change");
        Add(preview.WouldChangeNothing, "would change nothing");
        Add(preview.WouldFail, "would still fail");
        Add(preview.CannotTell, "can't be told");
        var of = preview.LookedAt < preview.Letters ? $"Of {preview.LookedAt} that were looked at, out of {preview.Letters}: " : "";
        return of + (parts.Count == 0 ? "nothing" : string.Join(", ", parts));

        void Add(int count, string what)
        {
            if (count > 0)
                parts.Add($"{count} {what}");
        }
    }

    /// <summary>No more of a time than JSON and Postgres keep alike.</summary>
    public static DateTimeOffset Whole(DateTimeOffset time) => time.AddTicks(-(time.Ticks % TimeSpan.TicksPerMicrosecond));
}
