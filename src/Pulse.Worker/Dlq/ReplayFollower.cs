using System.Globalization;
using System.Text.Json.Nodes;

namespace Pulse.Worker.Dlq;

/// <summary>Follows a running replay to its end: a bar on a terminal, a line for each tenth elsewhere.</summary>
sealed class ReplayFollower(AdminClient api, TextWriter output, bool terminal, TimeProvider clock)
{
    const int Width = 30;
    static readonly TimeSpan Every = TimeSpan.FromMilliseconds(500);

    // A restart of what it asks is no reason to look away: the replay goes on without it.
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    /// <returns>The replay, when nothing of it moves any more.</returns>
    public async Task<JsonNode> FollowAsync(string id)
    {
        var (told, drawn) = (-1, 0);
        if (terminal)
            await output.WriteLineAsync($"Ctrl-C ends watching, not the replay: ./pulse dlq pause {id} or cancel does.");
        while (true)
        {
            var replay = await LookAsync(id);
            var (status, done, all) = ((string?)replay["status"] ?? "", Done(replay), Count(replay, "letters"));
            var percent = all == 0 ? 100 : (int)(done * 100 / all);
            var moves = status is "canary" or "running";
            if (terminal)
            {
                var line = $"  {Bar(percent)} {percent,3} %  {done.ToString(CultureInfo.InvariantCulture)} of {all.ToString(CultureInfo.InvariantCulture)}  {status}, {Count(replay, "failed_again")} failed again";
                await output.WriteAsync($"\r{line.PadRight(drawn)}");
                await output.FlushAsync();
                drawn = line.Length;
            }
            else if (percent / 10 != told || !moves)
            {
                told = percent / 10;
                await output.WriteLineAsync($"{status}: {done.ToString(CultureInfo.InvariantCulture)} of {all.ToString(CultureInfo.InvariantCulture)} handled, {Count(replay, "failed_again")} failed again");
            }

            if (!moves)
            {
                if (terminal)
                    await output.WriteLineAsync();
                return replay;
            }

            await Task.Delay(Every, clock);
        }
    }

    async Task<JsonNode> LookAsync(string id)
    {
        var deadline = clock.GetUtcNow() + Patience;
        while (true)
        {
            try
            {
                return await api.GetAsync($"/api/admin/replays/{id}");
            }
            catch (HttpRequestException) when (clock.GetUtcNow() < deadline)
            {
                await Task.Delay(Every, clock);
            }
        }
    }

    internal static string Bar(int percent) => $"[{new string('█', percent * Width / 100)}{new string('·', Width - (percent * Width / 100))}]";

    public static long Count(JsonNode replay, string name) => (long?)replay["progress"]?[name] ?? 0;

    static long Done(JsonNode replay) => ((ReadOnlySpan<string>)["resolved", "failed_again", "unanswered", "excluded", "cancelled"]).ToArray().Sum(name => Count(replay, name));

    /// <summary>Whether every letter was resolved.</summary>
    public static bool IsWhole(JsonNode replay) =>
        (string?)replay["status"] == "completed" && Count(replay, "resolved") == Count(replay, "letters");
}
