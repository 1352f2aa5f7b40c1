using System.Diagnostics;

namespace Pulse.Bench;

/// <summary>One figure of one run.</summary>
readonly record struct Value(string Name, string Unit, double Amount);

/// <summary>What had been used up at one moment.</summary>
/// <param name="App">CPU seconds of what is measured: this process, or the worker and the ingress.</param>
/// <param name="Client">CPU seconds of the process that makes the load, where that is another one.</param>
readonly record struct Reading(long At, double App, double Client, double Postgres, double Broker, double Machine, long Allocated, long RoundTrips);

/// <summary>Reads what a stretch of work costs, from the kernel and from this process.</summary>
sealed class Measurement
{
    readonly IReadOnlyCollection<int> _app;
    readonly IReadOnlyCollection<int> _client;
    readonly int _postgres;
    readonly int _broker;

    Measurement(Servers servers, IReadOnlyCollection<int> app, IReadOnlyCollection<int> client)
    {
        (_app, _client) = (app, client);
        _postgres = servers.Pid("postgres");
        _broker = servers.Pid("rabbitmq");
    }

    /// <summary>Of code that runs in this process.</summary>
    public static Measurement InProcess(Servers servers) => new(servers, [Environment.ProcessId], []);

    /// <summary>Of other processes, with this one as their client.</summary>
    public static Measurement Of(Servers servers, params string[] names) => new(servers, [.. names.Select(servers.Pid)], [Environment.ProcessId]);

    public Reading Read()
    {
        var busy = ProcFile.TreesBusy(_app, _client, [_postgres], [_broker]);
        return new Reading(
            Stopwatch.GetTimestamp(), busy[0], busy[1], busy[2], busy[3], ProcFile.MachineBusy(), GC.GetTotalAllocatedBytes(), RoundTrips.Count);
    }

    /// <summary>The rate, and the CPU that it took.</summary>
    public IEnumerable<Value> Cost(Reading from, Reading to, int count, string what)
    {
        var seconds = Stopwatch.GetElapsedTime(from.At, to.At).TotalSeconds;
        var known = to.App - from.App + (to.Client - from.Client) + (to.Postgres - from.Postgres) + (to.Broker - from.Broker);
        yield return new Value($"{what} per second", "1/s", count / seconds);
        yield return new Value($"CPU per 1 000 {what}, app", "s", PerThousand(to.App - from.App));
        yield return new Value($"CPU per 1 000 {what}, Postgres", "s", PerThousand(to.Postgres - from.Postgres));
        yield return new Value($"CPU per 1 000 {what}, RabbitMQ", "s", PerThousand(to.Broker - from.Broker));
        if (_client.Count > 0)
            yield return new Value($"CPU per 1 000 {what}, client", "s", PerThousand(to.Client - from.Client));
        yield return new Value(CpuOfAll(what), "s", PerThousand(known));
        yield return new Value("cores busy with other work", "cores", Math.Max(0, to.Machine - from.Machine - known) / seconds);

        double PerThousand(double busy) => busy * 1000 / count;
    }

    /// <summary>The figure that other work on the machine disturbs least.</summary>
    public static string CpuOfAll(string what) => $"CPU per 1 000 {what}, all";

    /// <summary>What only this process can count of itself.</summary>
    public static IEnumerable<Value> OwnCost(Reading from, Reading to, int count, string each)
    {
        yield return new Value($"round trips to Postgres per {each}", "", (double)(to.RoundTrips - from.RoundTrips) / count);
        yield return new Value($"allocated per {each}", "kB", (to.Allocated - from.Allocated) / 1024.0 / count);
    }
}

/// <summary>Times in milliseconds, for their percentiles.</summary>
sealed class Latencies
{
    readonly List<double> _milliseconds = [];

    public int Count => _milliseconds.Count;

    public void Add(TimeSpan latency)
    {
        lock (_milliseconds)
            _milliseconds.Add(latency.TotalMilliseconds);
    }

    public IEnumerable<Value> Percentiles(string what) =>
        [Percentile(what, 50), Percentile(what, 95), Percentile(what, 99)];

    Value Percentile(string what, int percent)
    {
        lock (_milliseconds)
        {
            if (_milliseconds.Count == 0)
                throw new BenchmarkException($"Nothing was measured: {what}.");

            _milliseconds.Sort();
            // The nearest rank: a time that was really seen.
            var rank = (int)Math.Ceiling(percent / 100.0 * _milliseconds.Count);
            return new Value($"{what}, p{percent}", "ms", _milliseconds[Math.Max(0, rank - 1)]);
        }
    }
}
