// Watches what is put out and changes settings. All it knows comes from /api/about and /api/events.

const get = (id) => document.getElementById(id);
const picture = get("picture");
const notice = get("notice");
const badge = get("badge");

// Only this page's own answer to ?token= has set the cookie; the address bar need not keep it.
history.replaceState(null, "", location.pathname);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// --- Changes: one request at a time; what is moved meanwhile goes out together, newest values only.

let waiting = {};
let sending = false;

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    notice.textContent = error instanceof TypeError ? "seg-stream cannot be reached." : error.message;
    return null;
  }
}

async function change(name, value) {
  waiting[name] = value;
  if (sending) return;
  sending = true;
  while (Object.keys(waiting).length) {
    const body = waiting;
    waiting = {};
    last = (await attempt(() => post("api/settings", body))) ?? last;
  }
  sending = false;
  show(last); // what was refused goes back to what it was
}

const press = (key) => attempt(async () => show(await post("api/key", { key })));

// --- The controls, built from what the server says there is.

const shown = {}; // name of a setting: function that shows its value
let offered = new Set();
let last = null;
let told = 0;

function button(words, press) {
  const made = make("button", { type: "button", textContent: words });
  made.addEventListener("click", press);
  get("bar").append(made);
  return made;
}

function toggle(name, words) {
  const made = button(words, () => change(name, made.getAttribute("aria-pressed") !== "true"));
  shown[name] = (value) => made.setAttribute("aria-pressed", value);
}

function slider(name, about) {
  const input = make("input", {
    type: "range", min: about.minimum, max: about.maximum, step: 0.01, id: name,
  });
  const label = make("label", { htmlFor: name, textContent: about.title });
  const value = make("output", { htmlFor: name });
  const tell = () => {
    value.textContent = `${Math.round(100 * input.value)} %`;
    input.ariaValueText = value.textContent;
  };
  input.addEventListener("input", () => {
    tell();
    change(name, Number(input.value));
  });
  shown[name] = (number) => {
    input.value = number;
    tell();
  };
  get("sliders").append(make("div", { className: "slider" }, label, value, input));
}

function checkbox(name, about) {
  const input = make("input", { type: "checkbox", name });
  input.addEventListener("change", () => change(name, input.checked));
  shown[name] = (value) => { input.checked = value; };
  get("sliders").append(make("label", { className: "switch" }, input, about.title));
}

function choice({ name, label, picture }) {
  const input = make("input", { type: "radio", name: "background", value: name });
  input.addEventListener("change", () => change("background", name));
  let look;
  if (picture) {
    look = make("img", { className: "look", alt: "", loading: "lazy", src: `thumbnail/${name}` });
  } else {
    look = make("span", { className: `look ${name === "blur" ? "blur" : ""}` });
    if (name.startsWith("#")) look.style.background = name;
  }
  return make("label", { className: "choice", title: label }, input, look,
    make("span", { className: "words", textContent: label }));
}

function colour() {
  const input = make("input", { type: "color", value: "#00b140" });
  const look = make("span", { className: "look any" });
  const tile = make("label", { className: "choice", title: "Any colour" }, input, look,
    make("span", { className: "words", textContent: "Colour …" }));
  input.addEventListener("input", () => change("background", input.value));
  shown.background = (now) => {
    const own = now.startsWith("#") && !offered.has(now);
    tile.classList.toggle("on", own);
    if (own) input.value = look.style.background = now;
  };
  return tile;
}

function backgrounds(about) {
  offered = new Set(about.backgrounds.map((each) => each.name));
  get("backgrounds").replaceChildren(...about.backgrounds.map(choice), colour());
}

function show(state) {
  if (!state) return;
  last = state;
  const now = state.settings.background;
  if (!sending) { // else it tells of before
    for (const [name, value] of Object.entries(state.settings)) shown[name]?.(value);
    for (const radio of document.getElementsByName("background")) {
      radio.checked = radio.value === now;
    }
  }
  if (!offered.has(now) && !now.startsWith("#")) {
    offered.add(now); // asked for once
    attempt(refresh);
  }
  get("status").textContent = state.status;
  if (state.notice.number !== told) notice.textContent = state.notice.text;
  told = state.notice.number;
  badge.hidden = !state.settings.paused;
  badge.textContent = "Paused: others see the placeholder";
}

async function ask() {
  const answer = await fetch("api/about");
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

async function refresh() {
  backgrounds(await ask());
  show(last);
}

// --- Watching: nothing is sent for a page that nobody sees.

let events = null;
let round = 0;

function watch() {
  if (events || document.hidden) return;
  events = new EventSource("api/events");
  events.onopen = () => { picture.src = `stream.mjpg?page=${++round}`; };
  events.onmessage = (event) => show(JSON.parse(event.data));
  events.onerror = () => {
    badge.hidden = false;
    badge.textContent = events?.readyState === EventSource.CLOSED
      ? "seg-stream refuses: open the address that it printed"
      : "seg-stream does not answer";
  };
}

function rest() {
  events?.close();
  events = null;
  picture.removeAttribute("src");
}

document.addEventListener("visibilitychange", () => (document.hidden ? rest() : watch()));
addEventListener("pagehide", rest);
addEventListener("pageshow", watch);

// --- Keys, as in the preview window.

function keyboard(keys) {
  const known = new Set(keys.map((key) => key.char));
  for (const { char, words } of keys) {
    get("help-keys").append(make("dt", { textContent: char }), make("dd", { textContent: words }));
  }
  const help = () => get("help").showModal();
  get("keys").addEventListener("click", help);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || get("help").open) return;
    if (event.key === "h" || event.key === "?") help();
    else if (known.has(event.key)) press(event.key);
    else return;
    event.preventDefault();
  });
}

async function start() {
  const about = await ask();
  toggle("paused", "Pause");
  toggle("mask_view", "Mask");
  toggle("mirror", "Mirror");
  button("Snapshot", () => press("c"));
  for (const [name, each] of Object.entries(about.settings)) {
    if (shown[name]) continue;
    if (each.type === "number") slider(name, each);
    else checkbox(name, each);
  }
  backgrounds(about);
  keyboard(about.keys);
  watch();
}

attempt(start);
