using Pulse.Worker.Billing.Stripe;

namespace Pulse.Worker.Billing;

/// <summary>Whose a customer is.</summary>
/// <param name="OrgId">Null: nobody's yet, or several claim it.</param>
/// <param name="By">What says so: metadata or client_reference_id.</param>
/// <param name="Conflict">What contradicts itself, for the operator; null otherwise.</param>
readonly record struct Link(Guid? OrgId, string? By, string? Conflict);

/// <summary>The decisions of the sync that need no database.</summary>
static class SyncRules
{
    /// <summary>When to ask Stripe again after this many failures in a row, counted from 1.</summary>
    /// <param name="chance">0 to 1: customers that failed together don't come back together.</param>
    public static TimeSpan Backoff(int failures, TimeSpan? retryAfter, double chance, SyncOptions options)
    {
        var grown = options.BackoffLeast * Math.Pow(2, Math.Clamp(failures - 1, 0, 20));
        var wait = (grown < options.BackoffMost ? grown : options.BackoffMost) * (0.5 + (chance / 2));
        if (retryAfter is not { } asked)
            return wait;

        if (asked > options.RetryAfterMost)
            asked = options.RetryAfterMost;
        // What Stripe asks for is the least; all that it told so would come back at once.
        asked *= 1 + (chance / 4);
        return asked > wait ? asked : wait;
    }

    /// <summary>How long a customer is let be after a fetch.</summary>
    /// <remarks>Longer while a burst goes on, that is when this fetch came within as long again of the last one's: a few fetches see a burst of any length.</remarks>
    public static TimeSpan Settle(DateTimeOffset? fetchedAt, DateTimeOffset? letBeUntil, DateTimeOffset now, SyncOptions options)
    {
        if (letBeUntil - fetchedAt is not { } last || last < options.Settle || now - letBeUntil > last)
            return options.Settle;

        var longer = last * 4;
        return longer < options.SettleMost ? longer : options.SettleMost;
    }

    /// <summary>When to try again for a turn, when Stripe may be asked no more often than it is.</summary>
    /// <param name="behind">How many customers wait for a turn.</param>
    /// <param name="perSecond">How many get one in a second.</param>
    /// <param name="chance">0 to 1.</param>
    /// <remarks>Spread over as long as all of them take, they come back as fast as they can be served: every turn is used, and nobody asks in vain for long.</remarks>
    public static TimeSpan NextTurn(long behind, int perSecond, double chance, TimeSpan longestTurn) =>
        (longestTurn / 2) + (chance * TimeSpan.FromSeconds((double)behind / perSecond));

    /// <summary>Never by email, and not by what contradicts itself.</summary>
    public static Link Decide(LinkClaims claims)
    {
        var named = new HashSet<Guid>();
        foreach (var claim in claims.Metadata)
        {
            // Somebody wrote it there for Pulse: what is no id is a mistake, not nothing.
            if (!Guid.TryParse(claim, out var id))
                return new(null, null, $"link_conflict {Shown(claim)}");
            named.Add(id);
        }

        var by = named.Count > 0 ? "metadata" : "client_reference_id";
        // A client_reference_id may be anything: only an id is a claim.
        foreach (var reference in claims.ClientReferences)
        {
            if (Guid.TryParse(reference, out var id))
                named.Add(id);
        }

        return named.Count switch
        {
            0 => default,
            1 => new(named.First(), by, null),
            _ => new(null, null, $"link_conflict {string.Join(' ', named.Order().Take(4))}"),
        };
    }

    /// <summary>What a customer that is linked already contradicts; null for nothing. The link stays.</summary>
    public static string? Contradiction(Guid linked, LinkClaims claims) =>
        claims.Metadata.FirstOrDefault(claim => !Guid.TryParse(claim, out var id) || id != linked) is { } other ? $"link_conflict {Shown(other)}" : null;

    static string Shown(string claim) => claim.Length <= 64 ? claim : claim[..64];
}
