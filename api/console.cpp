// The console: one page without anything from elsewhere. It only reads.
#include "api/routes.hpp"

namespace selfheal {

std::string_view console_page() {
  return R"page(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>selfheal</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.35rem .7rem;border-bottom:1px solid #8884;vertical-align:top}
tbody tr{cursor:pointer} .state{font-weight:600} #note{opacity:.7}
pre{white-space:pre-wrap;overflow-wrap:anywhere}
</style></head><body>
<h1>selfheal</h1><p id="note" role="status">loading</p>
<p id="ask" hidden><label>Token <input id="token" type="password" autocomplete="off"></label></p>
<h2>Incidents</h2>
<table><thead><tr><th>opened</th><th>service</th><th>code</th><th>state</th><th>playbook</th>
<th>seconds</th></tr></thead><tbody id="incidents"></tbody></table>
<h2 id="title"></h2><pre id="story"></pre>
<script>
const at=id=>document.getElementById(id);
let chosen='';
async function get(path){
  const token=sessionStorage.getItem('token')||'';
  const answer=await fetch(path,token?{headers:{authorization:'Bearer '+token}}:{});
  at('ask').hidden=answer.status!==401;
  if(!answer.ok&&answer.status!==503) throw new Error(path+': '+answer.status);
  return answer.json();
}
// Everything shown comes from others: as text, never as markup.
function row(incident){
  const line=document.createElement('tr');
  const cells=[incident.time,incident.service,incident.code,incident.state,
    incident.playbook||'',incident.seconds_to_recover||''];
  cells.forEach((text,i)=>{const cell=document.createElement('td');
    cell.textContent=text; if(i===3) cell.className='state'; line.append(cell);});
  line.onclick=()=>{chosen=incident.id; refresh();};
  return line;
}
async function refresh(){
  try{
    const ready=await get('/readyz');
    at('note').textContent=ready.status+', mode '+ready.mode+(ready.reason?': '+ready.reason:'');
    const list=await get('/api/incidents?limit=100');
    at('incidents').replaceChildren(...list.map(row));
    if(chosen){
      const incident=await get('/api/incidents/'+encodeURIComponent(chosen));
      at('title').textContent=chosen;
      at('story').textContent=(incident.timeline||[]).map(entry=>
        entry.time+'  '+entry.type+'  '+JSON.stringify(entry.data)).join('\n\n');
    }
  }catch(failure){at('note').textContent=String(failure);}
}
at('token').onchange=event=>{sessionStorage.setItem('token',event.target.value);refresh();};
refresh(); setInterval(refresh,2000);
</script></body></html>
)page";
}

}  // namespace selfheal
