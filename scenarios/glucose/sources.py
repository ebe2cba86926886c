"""Where do the constants of Glucose come from? Each entry is the name of one in the files of its reference."""

from __future__ import annotations

from twingym.scenarios.parameter import Parameter

HOVORKA = "Hovorka et al. 2004, Physiol. Meas. 25:905, table 1"
RESALAT = "Resalat et al. 2019, PLoS One 14:e0217301"
SENSOR = "Breton and Kovatchev 2008, J. Diabetes Sci. Technol. 2:853"
XIE = "Xie 2018, simglucose"
GUESS = "assumption"
OPEN, XIES = "CC BY 4.0", "MIT"

PROVENANCE = {
    "insulin_volume": Parameter("L/kg", HOVORKA, "V_I: volume in which insulin is dissolved."),
    "glucose_volume": Parameter("L/kg", HOVORKA, "V_G: volume in which glucose is dissolved."),
    "non_insulin_flux": Parameter("mmol/kg/min", HOVORKA, "F01: uptake that needs no insulin."),
    "hepatic_output": Parameter("mmol/kg/min", HOVORKA, "EGP0: what the liver gives without insulin."),
    "transfer": Parameter("1/min", HOVORKA, "k12: back from the second compartment."),
    "carb_bioavailability": Parameter("share", HOVORKA, "A_G: of carbohydrates that reach plasma."),
    "carb_time": Parameter("min", HOVORKA, "t_G: to maximal appearance of carbohydrates."),
    "insulin_time": Parameter("min", HOVORKA, "t_I: to maximal absorption of insulin."),
    "insulin_decay": Parameter("1/min", HOVORKA, "ke: of plasma insulin."),
    "action_rates": Parameter("1/min", HOVORKA, "ka1 to ka3: how fast insulin begins to act."),
    "renal_rate": Parameter("1/min", HOVORKA, "What the kidneys spill of glucose above their threshold."),
    "renal_threshold": Parameter("mmol/L", HOVORKA, "That threshold, in each published form of the model."),
    "saturation": Parameter("mmol/L", HOVORKA, "Glucose below which uptake without insulin falls."),
    "reduction": Parameter("times", RESALAT, "Of all sensitivities in type 1 diabetes.", licence=OPEN),
    "sensitivity_mean": Parameter(
        "1/min, 1/min and 1 per mU/L", RESALAT, "Of transport, disposal and hepatic output.", licence=OPEN
    ),
    "sensitivity_spread": Parameter("as its mean", RESALAT, "Per standard normal of the person.", licence=OPEN),
    "sensitivity_jitter": Parameter("", RESALAT, "Added to that normal, uniform between -this and this.", licence=OPEN),
    "weight_mean": Parameter("kg", RESALAT, "Mean body weight.", licence=OPEN),
    "weight_sd": Parameter("kg", RESALAT, "Its standard deviation.", licence=OPEN),
    "weight_range": Parameter("kg", GUESS, "Bounds of body weight; the paper's normal distribution has none."),
    "pruning_rate": Parameter("U/h", RESALAT, "Insulin under which people must come down ...", licence=OPEN),
    "pruning_level": Parameter("mg/dL", RESALAT, "... to this glucose to be kept.", licence=OPEN),
    "basal_target": Parameter("mg/dL", RESALAT, "Glucose that basal insulin holds.", licence=OPEN),
    "daily_per_basal": Parameter("times", RESALAT, "Daily insulin over what basal alone delivers.", licence=OPEN),
    "birth_spread": Parameter("log standard deviation", GUESS, "Of glucose at midnight around that of basal."),
    "severe_level": Parameter("mg/dL", "RL4T1D", "Plasma glucose that ends a course."),
    "sensor_memory": Parameter("", SENSOR, "Autocorrelation of the sensor's error over five minutes."),
    "sensor_spread": Parameter("", SENSOR, "Standard deviation of that memory."),
    "johnson_xi": Parameter("mg/dL", SENSOR, "xi of the error's Johnson SU distribution."),
    "johnson_lambda": Parameter("mg/dL", SENSOR, "lambda of it."),
    "johnson_gamma": Parameter("", SENSOR, "gamma of it."),
    "johnson_delta": Parameter("", SENSOR, "delta of it."),
    "eating_rate": Parameter("g/min", XIE, "How fast carbohydrates are eaten.", licence=XIES),
    "probability": Parameter("probability", XIE, "Of breakfast, lunch and dinner, a snack after each.", licence=XIES),
    "usual": Parameter("h", XIE, "When they usually are, with standard deviations and bounds.", licence=XIES),
    "grams": Parameter("g", XIE, "Carbohydrates of each.", licence=XIES),
    "grams_sd": Parameter("g", XIE, "Their standard deviations.", licence=XIES),
    "counting_error": Parameter(
        "share", "Brazeau et al. 2013, Diabetes Res. Clin. Pract. 99:19", "By which meals are misjudged."
    ),
    "largest_meal": Parameter("g", GUESS, "Nobody eats more at once."),
}
