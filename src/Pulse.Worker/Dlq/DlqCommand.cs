using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Configuration;
using Pulse.Hosting;

namespace Pulse.Worker.Dlq;

/// <summary><c>./pulse dlq …</c>: dead letters over the admin API, with the key of who asks.</summary>
static class DlqCommand
{
    public const int Done = 0;
    public const int NotAllResolved = 1;
    public const int Usage = 2;
    public const int NotReachable = 3;
    public const int Refused = 4;

    public const string Help = """
        ./pulse dlq groups   [--queue Q] [--status S] [--limit N]     what failed, by its cause
        ./pulse dlq list     [FILTER] [--limit N]                     messages
        ./pulse dlq show     ID [--reveal]                            one message, masked (--reveal: unmasked, which is audited)
        ./pulse dlq replay   ID… | FILTER | --all [--sample N] [--no-preview] [--yes [--rate N] [--canary N] [--stop-ratio R]]
                                                                      plans and previews a replay; nothing moves without --yes
        ./pulse dlq start    REPLAY [--rate N] [--canary N] [--stop-ratio R]
        ./pulse dlq follow | pause | resume | cancel REPLAY
        ./pulse dlq replays  [--status S] [--limit N]
        ./pulse dlq discard  ID… | FILTER | --all --say WHY           gives messages up
        ./pulse dlq restore  ID… | FILTER | --all --say WHY           takes discarded and quarantined ones back

        FILTER is one or more of --queue Q --type T --exception E --fingerprint F --reason R --org ID --id ID --status S[,S] --from TIME --to TIME --q WORDS.
        --status open is parked, failed_again and quarantined. --rate 0 is as fast as it goes; 50 a second, a canary of 5 and a ratio of 0.1 without options.
        --json prints what the API answers. PULSE_INGRESS_URL and PULSE_ADMIN_KEY say where and as whom; ./pulse up sets both.

        Exit codes: 0 done; 1 done, but not every message was resolved; 2 the command line; 3 Pulse is not reachable; 4 refused.
        """;

    static readonly JsonSerializerOptions Readable = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <returns>An exit code, as <see cref="Help"/> has them.</returns>
    /// <exception cref="SettingsException">A variable is missing or wrong.</exception>
    public static async Task<int> RunAsync(IReadOnlyList<string> args, TextWriter output, TextWriter error, bool terminal)
    {
        if (args is ["help" or "--help" or "-h", ..])
        {
            await output.WriteLineAsync(Help);
            return Done;
        }

        if (DlqOptions.Read(args, out var mistake) is not { } options)
        {
            await error.WriteLineAsync($"{mistake}\n\n{Help}");
            return Usage;
        }

        var settings = new Settings(new ConfigurationBuilder().AddEnvironmentVariables().Build());
        var ingress = settings.Url("PULSE_INGRESS_URL", "http://127.0.0.1:8080");
        var key = settings.Required("PULSE_ADMIN_KEY", "the admin key to ask with, pulse_…");
        settings.ThrowIfInvalid();

        using var http = AdminClient.Connect(ingress, key);
        return await RunAsync(options, new AdminClient(http, TimeProvider.System, error), output, error, terminal, TimeProvider.System);
    }

    internal static async Task<int> RunAsync(DlqOptions options, AdminClient api, TextWriter output, TextWriter error, bool terminal, TimeProvider clock)
    {
        try
        {
            return await new DlqVerbs(options, api, output, new ReplayFollower(api, options.Json ? TextWriter.Null : output, terminal && !options.Json, clock)).RunAsync();
        }
        catch (RefusedException exception)
        {
            await error.WriteLineAsync($"Refused: {exception.Message}{(exception.Code.Length > 0 ? $" ({exception.Code})" : "")}{Todo(exception.Code)}");
            return Refused;
        }
        catch (Exception exception) when (exception is HttpRequestException or TaskCanceledException or PendingException)
        {
            await error.WriteLineAsync(exception is PendingException ? exception.Message : $"Pulse is not reachable: {exception.Message}");
            return NotReachable;
        }
    }

    // What the API can't know: how it is done from here.
    static string Todo(string code) => code switch
    {
        "unauthorized" => "\nPULSE_ADMIN_KEY is the key. ./pulse admin-key list tells those that there are, ./pulse admin-key create --scopes deadletters:read,deadletters:write makes one.",
        "insufficient_scope" => "\n./pulse admin-key create --scopes … makes a key that has it.",
        "not_found" => "\n./pulse dlq list and ./pulse dlq replays tell the ids that there are.",
        "nothing_to_replay" => "\n./pulse dlq list with the same filter tells what it finds. Discarded and quarantined messages have to be restored first.",
        _ => "",
    };

    public static string Json(JsonNode node) => node.ToJsonString(Readable);
}
