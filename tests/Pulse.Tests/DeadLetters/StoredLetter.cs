using System.Text;
using System.Text.Json;

namespace Pulse.Tests.DeadLetters;

/// <summary>A dead letter as the collector stores one. There is no broker here.</summary>
sealed record StoredLetter
{
    public Guid Id { get; init; } = Guid.CreateVersion7();
    public Guid MessageId { get; init; } = Guid.NewGuid();
    public string Queue { get; init; } = "billing-sync";
    public string MessageType { get; init; } = "Pulse.Contracts.Billing:SyncStripeCustomer";
    public string ExceptionType { get; init; } = "System.InvalidOperationException";
    public string ExceptionMessage { get; init; } = "The price is unknown.";
    public string Stack { get; init; } = "   at Pulse.Worker.Billing.CustomerSync.Run() in /src/CustomerSync.cs:line 7";
    public string Fingerprint { get; init; } = "0123456789abcdef0123456789abcdef";
    public Guid? OrgId { get; init; }
    public string Status { get; init; } = "parked";
    public DateTime FailedAt { get; init; } = new(2026, 11, 21, 12, 0, 0, DateTimeKind.Utc);
    public string Body { get; init; } = """{"messageId":"01900000-0000-7000-8000-000000000000","message":{"customerId":"cus_1"}}""";
    public object Headers { get; init; } = new { MT_Reason = "fault" };

    public async Task<StoredLetter> StoreAsync(TestPostgres postgres)
    {
        await postgres.RunAsync("""
            insert into pulse.dead_letters (dead_letter_id, queue, message_id, reason, is_envelope, message_type, exception_type, exception_message, stack, fingerprint,
                org_id, content_type, headers, body, body_bytes, status, first_failed_at, last_failed_at, changed_at, collected_at)
            values ($1, $2, $3, 'fault', true, $4, $5, $6, $7, $8, $9, 'application/vnd.masstransit+json', $10::text::jsonb, $11, length($11), $12, $13, $13, $13, $13)
            """,
            Id, Queue, MessageId, MessageType, ExceptionType, ExceptionMessage, Stack, Fingerprint, (object?)OrgId ?? DBNull.Value, JsonSerializer.Serialize(Headers),
            Encoding.UTF8.GetBytes(Body), Status, FailedAt);
        await postgres.RunAsync("""
            insert into pulse.dead_letter_groups (fingerprint, exception_type, message_type, reason, stack, first_failed_at, last_failed_at, sample_id)
            values ($1, $2, $3, 'fault', $4, $5, $5, $6)
            on conflict (fingerprint) do update set last_failed_at = greatest(dead_letter_groups.last_failed_at, excluded.last_failed_at)
            """, Fingerprint, ExceptionType, MessageType, Stack, FailedAt, Id);
        await postgres.RunAsync(
            "insert into pulse.dead_letter_occurrences (dead_letter_id, failure, failed_at, exception_type, exception_message) values ($1, 'first', $2, $3, $4)",
            Id, FailedAt, ExceptionType, ExceptionMessage);
        return this;
    }
}
