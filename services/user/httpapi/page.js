const form = document.getElementById("form"), result = document.getElementById("result"), password = document.getElementById("password");
const token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
history.replaceState(null, "", location.pathname);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = password ? {token, password: password.value} : {token};
  const answer = await fetch(location.pathname, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)}).catch(() => null);
  if (answer && answer.ok) {
    form.remove();
    result.textContent = form.dataset.done;
    return;
  }
  const problem = answer ? await answer.json().catch(() => ({})) : {};
  result.textContent = problem.errors ? problem.errors.map((e) => e.message).join(", ") : form.dataset.failed;
});
