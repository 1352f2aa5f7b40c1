using Pulse.Hosting;

namespace Pulse.Worker.Hooks;

/// <summary>Where the platform's hook is, and how it is called. A class and no record: nothing may print its secrets.</summary>
sealed class HookOptions
{
    public const string UrlVariable = "PULSE_PROVISION_HOOK_URL";
    public const string SecretVariable = "PULSE_PROVISION_HOOK_SECRET";

    /// <summary>Null: there is no hook, and its steps are skipped.</summary>
    public required Uri? Url { get; init; }

    /// <summary>Each of them signs: while a secret is exchanged there are two. The first is the new one.</summary>
    public required IReadOnlyList<byte[]> Secrets { get; init; }

    /// <summary>Whether it may be on a private network, and spoken to without TLS.</summary>
    public required bool AllowPrivate { get; init; }

    /// <summary>Where the public reaches ingress; null: no callback is offered.</summary>
    public required Uri? PublicUrl { get; init; }

    /// <summary>How long one call may take, from the look-up of its name to the answer's headers. 1 s to 60 s.</summary>
    public required TimeSpan Timeout { get; init; }

    /// <summary>How often a provision is tried. 1 to 50.</summary>
    public required int Attempts { get; init; }

    /// <summary>How long a provision may take, all tries and an asynchronous answer. 10 s to a day.</summary>
    public required TimeSpan Deadline { get; init; }

    /// <summary>How long after the first failure it is tried again. Doubles each time.</summary>
    public TimeSpan BackoffLeast { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a provision waits between two tries at most.</summary>
    public TimeSpan BackoffMost { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How long a deprovision does, which is tried for ever.</summary>
    public TimeSpan DeprovisionBackoffMost { get; init; } = TimeSpan.FromHours(1);

    /// <summary>How much of a Retry-After is believed.</summary>
    public TimeSpan RetryAfterMost { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>How long a worker has a call to itself: longer than the call takes. One that died holds it up for no longer.</summary>
    public TimeSpan Lease => Timeout + TimeSpan.FromSeconds(5);

    /// <summary>How long an ended call is kept, for an operator to look at.</summary>
    public TimeSpan Keep { get; init; } = TimeSpan.FromDays(45);

    public static HookOptions Read(Settings settings)
    {
        var given = settings.Optional(UrlVariable) is not null;
        var options = new HookOptions
        {
            Url = given ? settings.Url(UrlVariable, "https://platform.example.org/hooks/pulse") : null,
            Secrets = given ? ReadSecrets(settings) : [],
            AllowPrivate = settings.Flag("PULSE_HOOK_ALLOW_PRIVATE", otherwise: false),
            PublicUrl = settings.Optional("PULSE_PUBLIC_URL") is null ? null : settings.Url("PULSE_PUBLIC_URL", "https://pulse.example.org"),
            Timeout = TimeSpan.FromSeconds(settings.Number("PULSE_HOOK_TIMEOUT_SECONDS", otherwise: 10, least: 1, most: 60)),
            Attempts = settings.Number("PULSE_HOOK_ATTEMPTS", otherwise: 8, least: 1, most: 50),
            Deadline = TimeSpan.FromSeconds(settings.Number("PULSE_HOOK_DEADLINE_SECONDS", otherwise: 900, least: 10, most: 86_400)),
        };

        if (options is { Url.Scheme: "http", AllowPrivate: false })
            settings.Mistake(UrlVariable, "is http. Use https, or set PULSE_HOOK_ALLOW_PRIVATE=true for a hook on your own network.");
        if (options.Url is { } url && (url.UserInfo.Length > 0 || url.Fragment.Length > 0))
            settings.Mistake(UrlVariable, "has a user or a fragment, which a hook does not get: it knows Pulse by the signature.");
        if (options.PublicUrl is { } address && (address.UserInfo.Length > 0 || address.Query.Length > 0 || address.Fragment.Length > 0))
            settings.Mistake("PULSE_PUBLIC_URL", "must be the plain address of ingress, without a user, a query or a fragment.");
        return options;
    }

    static List<byte[]> ReadSecrets(Settings settings)
    {
        const string meaning = "what Pulse signs its calls with, whsec_ and 24 to 64 bytes in base64; several are separated by commas or spaces";
        var secrets = new List<byte[]>();
        if (settings.Secrets(SecretVariable, meaning) is not { } given)
        {
            settings.Mistake(SecretVariable, $"is not set, but {UrlVariable} is. It is {meaning}.");
            return secrets;
        }

        foreach (var text in given.SelectMany(part => part.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)))
        {
            if (HookSignature.ReadSecret(text) is { } secret)
                secrets.Add(secret);
            else
                // Not the value.
                settings.Mistake(SecretVariable, $"has a part that is no secret. It is {meaning}.");
        }

        return secrets;
    }
}
