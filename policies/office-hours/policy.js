// Outside of office hours the members of some groups are asked for a second factor, or not let in.
//
// The policy has no clock: an access says when it came in.

import { memberOf } from 'portcullis:gateway/facts@0.1.0';

import { readSettings, schema } from './settings.js';
import { isOpen } from './hours.js';

let settings;

export const plugin = {
  describe() {
    return {
      name: 'office-hours',
      version: '0.1.0',
      summary: 'Asks for a second factor, or blocks, outside of office hours.',
      settingsSchema: JSON.stringify(schema),
    };
  },

  // What is thrown is the error of the contract's `result`.
  configure(text) {
    const { settings: read, problems } = readSettings(JSON.parse(text));
    if (problems.length > 0) throw problems;
    settings = read;
  },
};

export const policy = {
  needs() {
    return { operations: ['bind'], connectors: settings.challenge ? [settings.challenge.connector] : [], channels: [], groups: [] };
  },

  evaluate(access, evidence) {
    if (!isHeld(access.account)) return ruling('abstain', 'Office hours are not about this account.');
    // The access keeps the time at which it came in, however long somebody takes to answer.
    const at = Number(access.at);
    if (isOpen(settings, at)) return ruling('abstain', 'It is within office hours.');
    if (!settings.challenge) {
      return ruling('block', 'It is outside of office hours.', [incident('medium', 'Sign-in outside of office hours')]);
    }
    const answers = evidence.filter(({ tag }) => tag === 'challenge').map(({ val }) => val);
    return answers.length === 0 ? question(settings.challenge) : consequence(settings.challenge, answers.at(-1));
  },
};

// Groups are of people. Nobody picks up the phone of a program that happens to be in one.
function isHeld(account) {
  const isPerson = account != null && (account.kind === 'human' || account.kind === 'unknown');
  return isPerson && settings.groups.some((group) => memberOf(group));
}

function question(challenge) {
  const verdict = {
    tag: 'challenge',
    val: {
      connector: challenge.connector,
      rememberSeconds: challenge.rememberSeconds,
      timeoutSeconds: challenge.timeoutSeconds,
    },
  };
  return { verdict, reason: 'It is outside of office hours: a second factor is asked for.', effects: [] };
}

function consequence(challenge, answer) {
  if (answer.connector !== challenge.connector) {
    return ruling('block', `It was ${answer.connector} that answered, which was not asked.`);
  }
  switch (answer.outcome) {
    case 'approved':
      return ruling('allow', 'The person confirmed it, outside of office hours.', [{ tag: 'resolve-incident' }]);
    case 'denied':
    case 'failed':
      return ruling('block', `Outside of office hours, and the second factor was ${answer.outcome}.`, [
        incident('high', `Second factor ${answer.outcome} outside of office hours`),
        { tag: 'add-risk', val: 20 },
      ]);
    default:
      return ruling('block', `Outside of office hours, and there was no second factor: ${answer.outcome}.`);
  }
}

function ruling(verdict, reason, effects = []) {
  return { verdict: { tag: verdict }, reason, effects };
}

function incident(severity, title) {
  return { tag: 'raise-incident', val: { severity, title, escalate: [] } };
}
