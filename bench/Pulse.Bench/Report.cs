using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Pulse.Bench;

/// <summary>The outcome of a benchmark, for reading or for a program.</summary>
static class Report
{
    static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
    };

    /// <summary>One line, one object.</summary>
    public static string Line(Benchmark benchmark, Outcome outcome, Machine machine, Versions versions) => JsonSerializer.Serialize(
        new
        {
            benchmark.Name,
            Ratio = outcome.RatioFigure()?.Median,
            RatioRange = outcome.RatioFigure() is { } ratio ? new[] { ratio.Min, ratio.Max } : null,
            RatioOf = outcome.Ratio,
            CpuRatio = outcome.CpuRatioFigure()?.Median,
            benchmark.Aim,
            outcome.Measured.What,
            Figures = outcome.Measured.Figures(),
            Bound = outcome.Bound is { } bound ? new { bound.What, Figures = bound.Figures() } : null,
            Variants = outcome.Variants.Select(variant => new { variant.What, Figures = variant.Figures() }),
            machine,
            versions,
        },
        Json);

    public static void Write(TextWriter output, Benchmark benchmark, Outcome outcome)
    {
        output.WriteLine();
        output.WriteLine(benchmark.Name);
        Write(output, outcome.Measured, "");
        foreach (var variant in outcome.Variants)
            Write(output, variant, "variant: ");
        if (outcome.Bound is { } bound)
            Write(output, bound, "bound: ");

        output.WriteLine();
        if (outcome.RatioFigure() is { } ratio)
            output.WriteLine($"  ratio {Number(ratio.Median)}  ({Number(ratio.Min)} to {Number(ratio.Max)}): {outcome.Ratio!.Of}, over the bound's {outcome.Ratio.To}");
        if (outcome.CpuRatioFigure() is { } cpu)
            output.WriteLine($"  ratio {Number(cpu.Median)}  ({Number(cpu.Min)} to {Number(cpu.Max)}): the bound's CPU, over {outcome.CpuRatio!.Of}");
        output.WriteLine($"  aim   {benchmark.Aim}");
    }

    static void Write(TextWriter output, Side side, string kind)
    {
        var figures = side.Figures();
        var width = figures.Keys.Max(name => name.Length);
        output.WriteLine();
        output.WriteLine($"  {kind}{side.What}");
        output.WriteLine($"    {"".PadRight(width)}  {"min",10} {"median",10} {"max",10}");
        foreach (var (name, figure) in figures)
            output.WriteLine($"    {name.PadRight(width)}  {Number(figure.Min),10} {Number(figure.Median),10} {Number(figure.Max),10}  {figure.Unit}");
    }

    public static void Write(TextWriter output, Machine machine, Versions versions)
    {
        output.WriteLine();
        output.WriteLine($"{machine.Cores} cores, {machine.MemoryMb} MB, Linux {machine.Kernel}, load at the start {machine.LoadAtStart.ToString("0.00", CultureInfo.InvariantCulture)}");
        output.WriteLine($".NET {versions.Dotnet}, PostgreSQL {versions.Postgres}, RabbitMQ {versions.RabbitMq}, MassTransit {versions.MassTransit}, Npgsql {versions.Npgsql}, RabbitMQ.Client {versions.RabbitMqClient}");
    }

    static string Number(double number) => number.ToString(
        Math.Abs(number) switch { >= 1000 => "#,0", >= 100 => "0", >= 10 => "0.0", >= 1 => "0.00", _ => "0.0000" }, CultureInfo.InvariantCulture);
}
