namespace Pulse.Bench;

/// <summary>One figure over the runs.</summary>
sealed record Figure(string Unit, double Min, double Median, double Max)
{
    public static Figure Of(string unit, IEnumerable<double> amounts)
    {
        var sorted = amounts.Order().ToArray();
        var middle = sorted.Length / 2;
        var median = sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        return new Figure(unit, sorted[0], median, sorted[^1]);
    }
}

/// <summary>What was measured the same way several times: Pulse, its bound, or a variant.</summary>
sealed class Side(string what)
{
    readonly List<List<Value>> _runs = [];

    public string What { get; } = what;

    public void Add(IEnumerable<Value> run) => _runs.Add([.. run]);

    public IEnumerable<double> Amounts(string figure) => _runs.Select(run => run.First(value => value.Name == figure).Amount);

    public IReadOnlyDictionary<string, Figure> Figures() => _runs
        .SelectMany(run => run)
        .GroupBy(value => value.Name)
        .ToDictionary(values => values.Key, values => Figure.Of(values.First().Unit, values.Select(value => value.Amount)));
}

/// <summary>A figure of the one side over a figure of the other, run by run.</summary>
/// <param name="Of">The name of the measured side's figure.</param>
/// <param name="To">The name of the bound's.</param>
sealed record Ratio(string Of, string To);

/// <summary>Everything that one benchmark found.</summary>
sealed record Outcome
{
    public required Side Measured { get; init; }

    /// <summary>What can't be beaten, or not by much; null where there is no such thing.</summary>
    public Side? Bound { get; init; }

    public IReadOnlyList<Side> Variants { get; init; } = [];
    public Ratio? Ratio { get; init; }

    /// <summary>The same of what they cost: 0.5 is twice the bound's CPU.</summary>
    public Ratio? CpuRatio { get; init; }

    public Figure? RatioFigure() => Of(Ratio, (of, to) => of / to);

    public Figure? CpuRatioFigure() => Of(CpuRatio, (of, to) => to / of);

    // Runs stand in pairs, one after the other, so that what disturbs one disturbs the other.
    Figure? Of(Ratio? ratio, Func<double, double, double> divide) => ratio is null || Bound is null
        ? null
        : Figure.Of("", Measured.Amounts(ratio.Of).Zip(Bound.Amounts(ratio.To), divide));
}

/// <summary>One benchmark, as the command line names it.</summary>
/// <param name="Name">Also the start of its file's name.</param>
/// <param name="Aim">In words, with where it is from.</param>
sealed record Benchmark(string Name, string Aim, Func<Bench, Task<Outcome>> RunAsync)
{
    /// <summary>Not among those that are run when none is named: it takes too long.</summary>
    public bool OnlyWhenNamed { get; init; }
}

/// <summary>What a benchmark runs with.</summary>
/// <param name="Say">Tells who waits how far it is.</param>
sealed record Bench(Servers Servers, BenchOptions Options, Action<string> Say)
{
    /// <summary>Each side once to warm up, then all of them in turn, as often as asked for.</summary>
    public async Task AlternateAsync(Func<Task> warmUp, params (Side Side, Func<Task<IEnumerable<Value>>> RunAsync)[] sides)
    {
        Say("warming up");
        await warmUp();
        for (var run = 1; run <= Options.Runs; run++)
        {
            foreach (var (side, runAsync) in sides)
            {
                Say($"run {run} of {Options.Runs}: {side.What}");
                side.Add(await runAsync());
            }
        }
    }
}

/// <summary>The command line.</summary>
sealed record BenchOptions
{
    /// <summary>Consumed by each run of <c>messaging</c>.</summary>
    public int Messages { get; init; } = 10_000;

    /// <summary>Of each side.</summary>
    public int Runs { get; init; } = 3;

    /// <summary>The large number of <c>growth</c>, and of letters in <c>deadletters</c>.</summary>
    public int Organizations { get; init; } = 1_000_000;

    public bool Json { get; init; }

    /// <summary>Also print the statements that took Postgres longest.</summary>
    public bool Statements { get; init; }
}
