/**
 * What people ask for, in two kinds: answers that repeat much of their prompt, and answers that do
 * not. Short enough for a small model to do as told.
 */
const FUNCTION = `function totalPrice(items, discount) {
  let total = 0;
  for (const item of items) {
    total += item.price * item.quantity;
  }
  if (discount > 0) {
    total = total - total * discount;
  }
  return total;
}`;

const STOCK = `def update_stock(stock, orders):
    for order in orders:
        name = order["name"]
        if name not in stock:
            raise KeyError(name)
        stock[name] = stock[name] - order["count"]
    return stock`;

const LETTER = `Dear Mrs Carter, thank you for your letter of 3 March. We has looked at your order and found that
two of the six chairs was sent to the wrong address. We are sorry for the delay. The chairs will arrive on
Tuesday, and the driver will call you one hour before.`;

const REPORT = `The town library will close for repairs from 12 June to 30 August. The roof, which was built in
1962, lets in rain, and the reading room cannot be heated in winter. During the summer, books can be ordered at
the town hall and collected there on Mondays and Thursdays. The children's corner moves to the primary school.
The council expects the repairs to cost 1.4 million, of which the state pays half.`;

const SETTINGS = `{
  "name": "harbour",
  "port": 8080,
  "workers": 4,
  "timeout": 30,
  "log": { "level": "info", "file": "/var/log/harbour.log" }
}`;

const LIST = `- check the fuel and the oil
- close the hatches
- test the radio on channel 16
- write the names of the crew into the log
- tell the harbour master when you will be back`;

export const REPEATING: readonly string[] = [
  `Rename the variable total to sum in this code. Answer with the whole code only.\n\n${FUNCTION}`,
  `Add a comment above the loop. Repeat the whole code.\n\n${STOCK}`,
  `Correct the grammar of this letter and repeat the whole letter.\n\n${LETTER}`,
  `Summarise this text, using its own words.\n\n${REPORT}`,
  `Change the port to 9090 and repeat the whole file.\n\n${SETTINGS}`,
  `Number these items from 1 to 5 and keep their words.\n\n${LIST}`,
  `Quote the sentence about the roof, then the sentence about the books.\n\n${REPORT}`,
  `Repeat this text word for word.\n\n${LETTER}`,
];

export const FRESH: readonly string[] = [
  'Why is the sky blue?',
  'Write a short story about a lighthouse keeper and a storm.',
  'How do I learn to swim as an adult?',
  'What should I think about before I buy a used bicycle?',
  'Describe a market in the morning.',
  'Explain how a sailing boat can go against the wind.',
  'Give me ideas for a birthday party in a small flat.',
  'What is the difference between weather and climate?',
];
