/**
 * The function words of languages written in Latin letters, in lower case and without accents.
 * About every second word of a text is one of them. `SHARED_WORDS` are English words too, so they
 * say little about the language.
 */
const words = (list: string) => new Set(list.split(/\s+/));

export const SHARED_WORDS: ReadonlySet<string> = words(
  `a an i in on no me do he so as at is to am be we her die das den hat man war was will art per con non plus sans pas pour or
son sur fin par ten most do met men of over had door bin bad gut rot kind arm hand wind warm tag gift mist rock
come one sole more case dove ora era data video radio hotel taxi idea area real normal total final social animal
ten pod to by my ty ta pan ale tom jest sam de la le el et al du van von den der e o y u ja si os da ma mi ne te se det att som cum
dan ada air bila kata mana kali hari mini mode salon regime`,
);

export const FOREIGN_WORDS: ReadonlySet<string> = words(
  `und nicht ist ein eine einen einem einer ich du er sie wir ihr es mit auf von zu dem des im am um aus bei nach wie kann kannst
mir mich dir dich sich auch aber oder wenn weil dass noch nur schon sehr hier bitte warum wieso wer wo wann mein meine dein deine sein seine haben habe werden wird
les une est que qui dans avec ce cette ces il elle nous vous ils je tu mon ton mes ses leur leurs mais ou donc quel quelle quels comment pourquoi
quand sont suis es etre faire fait peux peut au aux plus tout tous sans chez entre moi toi lui
los las del por para como una unos unas esta este esto pero muy mas porque cuando donde quien cual yo tu usted nosotros ellos su sus mi mis
lo al hay tengo tiene puede puedo hacer ser estar sin sobre todo todos
che della delle dei degli nel nella sono sei ho hai abbiamo questo questa quello come cosa perche quando chi mio mia suo sua gli uno allo anche
piu senza posso puoi fare essere ogni tra fra nei
um uma dos das na no nos nas em com nao mais isso esse essa meu minha seu sua voce eu ele ela foi ter fazer pode posso sem ao pela pelo
het een van niet dat dit ik je jij hij zij wij jullie mijn zijn hebben heeft worden wordt wat hoe waarom wanneer wie waar naar voor uit ook maar
of kun kan zonder geen veel deze bij nog moet
nie tak jak czy co kto gdzie kiedy dlaczego jest sa byl ma moj moja twoj ze na dla od przez przy bez oraz lub tylko moge mozesz sie
se je jsem jsi jsou jako ale nebo proc kde kdy kdo muj moje svuj svou pro pri bez jeho jejich muzes
och att det som ett jag du han hon vi ni de inte med av till hur vad varför nar kan ska min mitt din utan ar var fran eller men
og ikke jeg er til
ve bir bu icin ile ne nasil neden benim senin onun var yok daha cok ama veya gibi mi mu olarak
yang dan di ke dari untuk dengan tidak ini itu saya kamu anda adalah akan bagaimana kenapa mengapa apa siapa bisa cara tanpa harus setiap
ya wa kwa na ni za katika kama hii hiyo yake wake yangu bila nini jinsi
si nu este sunt cu pe din care ce cum unde cand pot poate fara la sau mai
hogy nem egy ez az es meg mit hogyan kell lehet
ja ei on se etta miten mita joka kun olen voi
khong cua cho mot nhung nguoi`,
);
