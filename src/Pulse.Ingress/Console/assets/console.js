// What the console does beyond its pages, which all work without: a running replay is followed, and a page that is over is read anew.
'use strict';

const live = document.querySelector('[data-progress]');
if (live) follow(live);

// Reads the address that the page names, once a second or so, until it says that nothing moves any more.
async function follow(live) {
  const spoken = document.getElementById('spoken');
  let failed = 0;
  let said = '';
  for (;;) {
    await pause(document.hidden ? 5000 : Math.min(1000 * 2 ** failed, 15000));
    let now;
    try {
      const answer = await fetch(live.dataset.progress, { credentials: 'same-origin', cache: 'no-store', redirect: 'error' });
      if (!answer.ok) throw new Error(String(answer.status));
      now = await answer.json();
      failed = 0;
    } catch {
      failed++;
      if (failed === 3) say('The progress can not be read at the moment. It is tried again.');
      continue;
    }

    const bar = live.querySelector('progress');
    if (bar) {
      bar.max = now.total;
      bar.value = now.done;
      bar.textContent = now.text;
    }
    for (const [name, value] of Object.entries(now.counts)) {
      const place = live.querySelector(`[data-count="${name}"]`);
      if (place) place.textContent = value;
    }
    say(now.text);
    if (now.status !== live.dataset.status || !now.moving) {
      // Its verbs, its badge and its table are the server's to say.
      location.reload();
      return;
    }
  }

  // A screen reader is told of each tenth, and of what else is new: not of every number.
  function say(text) {
    const coarse = text.replace(/\d+(?= %)/, percent => String(Math.floor(percent / 10) * 10)).replace(/[\d\u202f]+ of/, 'of');
    const line = live.querySelector('[data-line]');
    if (line) line.textContent = text;
    if (spoken && coarse !== said) spoken.textContent = text;
    said = coarse;
  }
}

function pause(milliseconds) {
  return new Promise(resolve => setTimeout(resolve, milliseconds));
}
