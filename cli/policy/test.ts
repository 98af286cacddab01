/** `plimsoll policy test`: runs policies' own tests. */
import { Command } from 'commander';
import type { LevelName } from '#policies/effective.ts';
import { runPolicyTests } from '#policies/run-policy-tests.ts';
import { operatorOption, readOperator } from './operator.ts';
import { levelOption, readPolicyFiles, readSoundPolicy } from './policy-files.ts';
import { shippedClassifier } from './shipped-classifier.ts';

type Flags = { level?: LevelName; operator: string | false; json: boolean };

export const test = () =>
  new Command('test')
    .description("run policies' own tests with the edge's classifier; exits with 1 if one fails")
    .argument('<place...>', 'policies as JSON, or folders of them')
    .addOption(levelOption())
    .addOption(operatorOption())
    .option('--no-operator', 'test the policies alone')
    .option('--json', 'print a list with the results of each file', false)
    .action(async (places: string[], { level, operator, json }: Flags) => {
      const named = await readPolicyFiles(places, level);
      const files = await Promise.all(named.map((each) => readSoundPolicy(each.file, level)));
      const classifier = await shippedClassifier();
      const above = operator === false ? [] : [(await readOperator(operator)).policy];
      const reports = files.map(({ file, policy }) => {
        const results = runPolicyTests(policy, classifier, { above });
        return { file, results: results.map((result) => ({ ...result, passed: result.failures.length === 0 })) };
      });
      const all = reports.flatMap(({ results }) => results);
      const failed = all.filter(({ passed }) => !passed).length;
      if (failed > 0) process.exitCode = 1;
      if (json) {
        console.log(JSON.stringify(reports, null, 2));
        return;
      }
      for (const { file, results } of reports) {
        if (results.length === 0) console.log(`${file}: no tests`);
        for (const { name, failures } of results) {
          if (failures.length === 0) console.log(`ok      ${file}: ${name}`);
          for (const failure of failures) console.log(`FAILED  ${file}: ${name}: ${failure}`);
        }
      }
      console.log(`${all.length - failed} of ${all.length} tests passed`);
    });
