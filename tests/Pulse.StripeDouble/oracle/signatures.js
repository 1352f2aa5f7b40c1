// Signs and verifies with Stripe's own package. In: a JSON array of questions; out: an array of answers.
//   {"sign": "secret", "body": "…", "at": seconds}                    → {"header": "t=…,v1=…"}
//   {"verify": "secret", "body": "…", "header": "…", "at": seconds}   → {"id": "evt_…"} or {"error": "…"}
const Stripe = require('stripe');

const { webhooks } = new (Stripe.default ?? Stripe)('sk_test_of_nobody');

const answer = (question) => {
  if (question.sign) {
    return { header: webhooks.generateTestHeaderString({ payload: question.body, secret: question.sign, timestamp: question.at }) };
  }
  try {
    return { id: webhooks.constructEvent(question.body, question.header, question.verify, 300, undefined, question.at * 1000).id };
  } catch (error) {
    return { error: error.message.split('\n')[0] };
  }
};

const input = [];
process.stdin.on('data', (chunk) => input.push(chunk));
process.stdin.on('end', () => {
  process.stdout.write(JSON.stringify(JSON.parse(Buffer.concat(input).toString('utf8')).map(answer)));
});
