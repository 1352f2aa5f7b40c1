using FsCheck;
using FsCheck.Fluent;
using Pulse.Worker.DeadLetters;

namespace Pulse.Tests.DeadLetters;

/// <summary>What is one group, and what is another.</summary>
public sealed class FingerprintTests
{
    static readonly Config Often = Config.QuickThrowOnFailure.WithMaxTest(1000);

    const string Stack = """
           at Pulse.Worker.Billing.CustomerSync.StoreAsync(NpgsqlConnection connection, Guid id) in /src/Pulse.Worker/Billing/CustomerSync.cs:line 91
           at Pulse.Worker.Billing.CustomerSync.<>c__DisplayClass4_0.<<RunAsync>b__0>d.MoveNext() in /src/Pulse.Worker/Billing/CustomerSync.cs:line 60
        --- End of stack trace from previous location ---
           at System.Runtime.CompilerServices.TaskAwaiter.ThrowForNonSuccess(Task task)
           at Pulse.Worker.Billing.CustomerSync.RunAsync(String customerId)
           at MassTransit.Middleware.RetryFilter`1.Send(TContext context, IPipe`1 next)
        """;

    // The same fault of another build, on another machine, with other numbers.
    const string Again = """
           at Pulse.Worker.Billing.CustomerSync.StoreAsync(NpgsqlConnection connection, Guid id) in C:\agent\_work\12\CustomerSync.cs:line 104
           at Pulse.Worker.Billing.CustomerSync.<>c__DisplayClass11_2.<<RunAsync>b__3>d.MoveNext()
        --- End of stack trace from previous location ---
           at Pulse.Worker.Billing.CustomerSync.<RunAsync>d__7.MoveNext() in C:\agent\_work\12\CustomerSync.cs:line 33
           at System.Threading.Tasks.Task.Execute()
           at MassTransit.Middleware.RetryFilter`1.Send(TContext context, IPipe`1 next)
        """;

    [Fact]
    public void Builds_lines_machines_and_state_machines_make_no_difference() =>
        Assert.Equal(Fingerprint.Normalise(Stack), Fingerprint.Normalise(Again!.Replace("<RunAsync>d__7.MoveNext()", "RunAsync(String customerId)", StringComparison.Ordinal)));

    [Fact]
    public void Another_place_another_exception_or_another_message_is_another_group()
    {
        var normal = Fingerprint.Normalise(Stack);
        string[] all =
        [
            Fingerprint.Of("fault", "A", normal, "m"), Fingerprint.Of("fault", "B", normal, "m"), Fingerprint.Of("fault", "A", normal, "n"),
            Fingerprint.Of("fault", "A", Fingerprint.Normalise(Stack.Replace("StoreAsync", "ReadAsync", StringComparison.Ordinal)), "m"),
            Fingerprint.Of("skipped", "A", normal, "m"), Fingerprint.Of("fault", null, normal, "m"), Fingerprint.Of("fault", "", normal, "m"),
            Fingerprint.Of("fault", "A", normal + "m", ""),
        ];
        Assert.Equal(all.Length, all.Distinct().Count());
        Assert.All(all, one => Assert.Matches("^[0-9a-f]{32}$", one));
    }

    [Fact]
    public void What_is_normal_stays_as_it_is() => Check.One(Often, Prop.ForAll(
        Stacks.ToArbitrary(), stack => Fingerprint.Normalise(Fingerprint.Normalise(stack)) == Fingerprint.Normalise(stack)));

    [Fact]
    public void Any_line_number_and_any_path_is_the_same_place() => Check.One(Often, Prop.ForAll(
        Gen.Choose(1, 100_000).ToArbitrary(), Gen.Elements("/a/b.cs", "C:\\x y\\b.cs", "/_/src/<gen>/b.cs").ToArbitrary(),
        (line, path) => Fingerprint.Normalise($"   at A.B.C(Int32 d) in {path}:line {line}") == "at A.B.C(Int32 d)"));

    [Fact]
    public void Whatever_is_no_stack_does_no_harm() => Check.One(Often, Prop.ForAll(
        ArbMap.Default.GeneratorFor<string>().ToArbitrary(), text =>
        {
            var normal = Fingerprint.Normalise(text);
            return (normal is null || normal.Split('\n').Length <= 12) && Fingerprint.Of("fault", text, normal, text) == Fingerprint.Of("fault", text, normal, text);
        }));

    [Fact]
    public void Recursion_is_one_frame_however_deep() => Assert.Equal(
        Fingerprint.Normalise("at A.Walk()\nat A.Start()"), Fingerprint.Normalise(string.Join('\n', Enumerable.Repeat("at A.Walk()", 900)) + "\nat A.Start()"));

    // Lines out of what stacks are made of, and out of what they are not.
    static Gen<string> Stacks =>
        from lines in Gen.Elements(
            "   at A.B.C(Int32 d) in /x/y.cs:line 12", "   at A.<RunAsync>d__12.MoveNext()", "   at A.<>c.<Go>b__3_0(Object o)", "   at A.G`2.M[T](T t)",
            "   at A.<Go>g__Inner|4_1()", "--- End of stack trace from previous location ---", "   at System.Threading.Tasks.Task.Execute()",
            "0xdeadbeef 123456", "5f560000-bda0-d8e4-0e64-08df47fc2166", "", "\t x  y ", "in :line 3").ListOf()
        select string.Join('\n', lines);
}
