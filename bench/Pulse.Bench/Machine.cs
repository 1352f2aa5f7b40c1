using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using MassTransit;
using Npgsql;

namespace Pulse.Bench;

/// <summary>Where the figures are from: they mean nothing on another machine.</summary>
/// <param name="LoadAtStart">Runnable threads, averaged over the minute before the benchmark. Much above 0: others are at work here.</param>
sealed record Machine(int Cores, int MemoryMb, string Kernel, double LoadAtStart)
{
    public static Machine Read() => new(
        Environment.ProcessorCount,
        (int)(ProcFile.Field("/proc/meminfo", "MemTotal:") / 1024),
        File.ReadAllText("/proc/sys/kernel/osrelease").Trim(),
        double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture));
}

/// <summary>What was measured, by version.</summary>
sealed record Versions(string Dotnet, string Postgres, string RabbitMq, string MassTransit, string Npgsql, string RabbitMqClient)
{
    public static async Task<Versions> ReadAsync(Servers servers) => new(
        Environment.Version.ToString(),
        await servers.Admin.AskAsync<string>("show server_version"),
        await servers.BrokerVersionAsync(),
        Of<IBus>(),
        Of<NpgsqlConnection>(),
        Of<RabbitMQ.Client.IConnection>());

    static string Of<T>() => FileVersionInfo.GetVersionInfo(typeof(T).Assembly.Location).ProductVersion?.Split('+')[0]
        ?? typeof(T).Assembly.GetCustomAttribute<AssemblyVersionAttribute>()?.Version ?? "unknown";
}

/// <summary>What the kernel counts.</summary>
static class ProcFile
{
    // USER_HZ is 100 on every Linux that .NET runs on.
    const double TicksPerSecond = 100;

    /// <summary>The number behind a name, as in <c>VmRSS:   1234 kB</c>; 0 when it isn't there.</summary>
    public static long Field(string path, string name) =>
        File.ReadLines(path).FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal)) is { } line
            ? long.Parse(line[name.Length..].Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture)
            : 0;

    /// <summary>Seconds that all cores together were not idle, since the machine's start.</summary>
    public static double MachineBusy()
    {
        // user nice system idle iowait irq softirq steal
        var ticks = File.ReadLines("/proc/stat").First()[4..].Trim().Split(' ').Select(long.Parse).ToArray();
        return (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + ticks[7]) / TicksPerSecond;
    }

    /// <summary>CPU seconds of processes with all their descendants, also of those that have ended and were waited for.</summary>
    public static double[] TreesBusy(params IReadOnlyCollection<int>[] trees)
    {
        var all = new Dictionary<int, (int Parent, double Busy)>();
        foreach (var directory in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(directory), out var pid) && Stat(pid) is { } stat)
                all[pid] = stat;
        }

        return [.. trees.Select(roots => all.Where(process => roots.Any(root => IsUnder(root, process.Key))).Sum(process => process.Value.Busy))];

        bool IsUnder(int root, int pid)
        {
            while (pid > 1)
            {
                if (pid == root)
                    return true;
                pid = all.TryGetValue(pid, out var process) ? process.Parent : 0;
            }

            return false;
        }
    }

    static (int Parent, double Busy)? Stat(int pid)
    {
        try
        {
            var text = File.ReadAllText($"/proc/{pid}/stat");
            // The name in parentheses may hold blanks; behind it come the state, the parent, and so on.
            var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
            var ticks = fields[11..15].Sum(field => long.Parse(field, CultureInfo.InvariantCulture));
            return (int.Parse(fields[1], CultureInfo.InvariantCulture), ticks / TicksPerSecond);
        }
        catch (IOException)
        {
            // It has just ended.
            return null;
        }
    }
}
