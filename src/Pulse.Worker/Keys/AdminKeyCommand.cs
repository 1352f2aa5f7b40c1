using System.Globalization;
using Npgsql;
using Pulse.Contracts.Keys;
using Pulse.Hosting;

namespace Pulse.Worker.Keys;

/// <summary><c>Pulse.Worker.dll admin-key create | list | revoke</c>, as the owner of the schemas: who may run it needs no key.</summary>
static class AdminKeyCommand
{
    // In the audit log: nobody who came over HTTP.
    const string Actor = "cli";

    const string Usage = """
        admin-key create --scopes a,b [--name NAME] [--expires 90d]   makes a key and prints it, this once
        admin-key list                                                every key, without its secret
        admin-key revoke ID                                           ends one, within seconds on every ingress
        """;

    /// <param name="output">The key itself, or the list: what a script reads.</param>
    /// <param name="error">What is for people.</param>
    /// <returns>0 when it is done, 1 for a key that is not there, 2 for a mistake in the command.</returns>
    /// <exception cref="SettingsException">A variable is missing or wrong.</exception>
    /// <exception cref="CannotStartException">Postgres does not answer, or is not migrated.</exception>
    public static async Task<int> RunAsync(string[] args, TextWriter output, TextWriter error)
    {
        if (Read(args, out var mistake) is not { } request)
        {
            await error.WriteLineAsync($"{mistake}\n\n{Usage}");
            return 2;
        }

        var builder = PulseProcess.CreateBuilder([], out var settings, "PULSE_WORKER_URL", "http://127.0.0.1:8081");
        var postgres = settings.Postgres("PULSE_POSTGRES");
        settings.ThrowIfInvalid();
        postgres.ApplicationName = "pulse-admin-key";
        await using var app = builder.Build();
        await using var dataSource = NpgsqlDataSource.Create(postgres);
        try
        {
            return await RunAsync(request, dataSource, app.Services.GetRequiredService<TimeProvider>(), output, error);
        }
        catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
        {
            throw new CannotStartException($"Nothing was done: {exception.Message}. Look at PULSE_POSTGRES; the database is migrated when a worker starts.", exception);
        }
    }

    internal static Task<int> RunAsync(KeyRequest request, NpgsqlDataSource dataSource, TimeProvider clock, TextWriter output, TextWriter error) => request switch
    {
        KeyRequest.Create create => CreateAsync(create, dataSource, clock, output, error),
        KeyRequest.Revoke revoke => RevokeAsync(revoke, dataSource, clock, error),
        _ => ListAsync(dataSource, clock, output),
    };

    static async Task<int> CreateAsync(KeyRequest.Create request, NpgsqlDataSource dataSource, TimeProvider clock, TextWriter output, TextWriter error)
    {
        var now = clock.GetUtcNow().UtcDateTime;
        var (key, id, hash) = AccessKey.Create();
        var row = new AdminKeyTable.Row(id, request.Name, request.Scopes, now, now + request.Expires, null);
        await AdminKeyTable.InsertAsync(dataSource, row, hash, Actor, CancellationToken.None);
        await error.WriteLineAsync($"Key {id} with {string.Join(' ', request.Scopes)}, {Until(row.ExpiresAt)}. It is shown this once:");
        await output.WriteLineAsync(key);
        return 0;
    }

    static async Task<int> ListAsync(NpgsqlDataSource dataSource, TimeProvider clock, TextWriter output)
    {
        var now = clock.GetUtcNow().UtcDateTime;
        foreach (var key in await AdminKeyTable.ListAsync(dataSource, CancellationToken.None))
        {
            var state = key.RevokedAt is { } revoked ? $"revoked {Text(revoked)}" : key.ExpiresAt <= now ? $"expired {Text(key.ExpiresAt.Value)}" : Until(key.ExpiresAt);
            await output.WriteLineAsync($"{key.KeyId}  {state,-32}  {key.Name,-20}  {string.Join(' ', key.Scopes)}");
        }

        return 0;
    }

    static async Task<int> RevokeAsync(KeyRequest.Revoke request, NpgsqlDataSource dataSource, TimeProvider clock, TextWriter error)
    {
        var (known, before) = await AdminKeyTable.RevokeAsync(dataSource, request.KeyId, clock.GetUtcNow().UtcDateTime, Actor, CancellationToken.None);
        await error.WriteLineAsync(
            !known ? $"There is no key {request.KeyId}. admin-key list shows them."
            : before is { } since ? $"Key {request.KeyId} was revoked already, {Text(since)}."
            : $"Key {request.KeyId} is revoked.");
        return known ? 0 : 1;
    }

    /// <summary>What is asked, or null and what is wrong with it.</summary>
    internal static KeyRequest? Read(string[] args, out string mistake)
    {
        mistake = "";
        switch (args)
        {
            case ["list"]:
                return new KeyRequest.List();
            case ["revoke", var id] when AccessKey.IsId(id):
                return new KeyRequest.Revoke(id);
            case ["revoke", ..]:
                mistake = "revoke needs the id of a key: the 16 letters and digits between its two underscores.";
                return null;
            case ["create", .. var options]:
                return ReadCreate(options, out mistake);
            default:
                mistake = "admin-key needs one of: create, list, revoke.";
                return null;
        }
    }

    static KeyRequest.Create? ReadCreate(string[] options, out string mistake)
    {
        var request = new KeyRequest.Create([], "", null);
        for (var at = 0; at < options.Length; at += 2)
        {
            var value = at + 1 < options.Length ? options[at + 1] : "";
            switch (options[at])
            {
                case "--scopes":
                    request = request with { Scopes = [.. value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Distinct()] };
                    break;
                case "--name" when value.Length is > 0 and <= 100 && !value.Any(char.IsControl):
                    request = request with { Name = value };
                    break;
                case "--name":
                    mistake = "--name needs a name of 1 to 100 characters, none of them a control character.";
                    return null;
                case "--expires" when Duration(value) is { } expires:
                    request = request with { Expires = expires };
                    break;
                case "--expires":
                    mistake = $"--expires is '{value}', but must be a time from now such as 90d or 12h, at most 3650d.";
                    return null;
                default:
                    mistake = $"admin-key create does not know '{options[at]}'.";
                    return null;
            }
        }

        mistake = request.Scopes.Where(scope => !Scopes.All.Contains(scope)).ToList() is [_, ..] unknown
            ? $"There is no scope {string.Join(", ", unknown.Select(scope => $"'{scope}'"))}. Scopes are: {string.Join(' ', Scopes.All)}"
            : request.Scopes.Count == 0 ? $"A key needs --scopes. Scopes are: {string.Join(' ', Scopes.All)}"
            : "";
        return mistake.Length == 0 ? request : null;
    }

    static TimeSpan? Duration(string text)
    {
        if (text.Length < 2 || !int.TryParse(text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number == 0)
            return null;

        var most = TimeSpan.FromDays(3650);
        var duration = text[^1] switch
        {
            'd' => number <= most.TotalDays ? TimeSpan.FromDays(number) : most + most,
            'h' => number <= most.TotalHours ? TimeSpan.FromHours(number) : most + most,
            'm' => number <= most.TotalMinutes ? TimeSpan.FromMinutes(number) : most + most,
            _ => most + most,
        };
        return duration <= most ? duration : null;
    }

    static string Until(DateTime? expires) => expires is { } at ? $"until {Text(at)}" : "without an end";

    static string Text(DateTime at) => at.ToString("yyyy-MM-dd HH:mm'Z'", CultureInfo.InvariantCulture);
}

/// <summary>What the command was asked to do.</summary>
abstract record KeyRequest
{
    public sealed record Create(IReadOnlyList<string> Scopes, string Name, TimeSpan? Expires) : KeyRequest;

    public sealed record List : KeyRequest;

    public sealed record Revoke(string KeyId) : KeyRequest;
}
