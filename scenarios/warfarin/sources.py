"""Where does every number of Warfarin come from?"""

from __future__ import annotations

from twingym.scenarios.parameter import Parameter

HAMBERG = "Hamberg et al. 2010, Clin. Pharmacol. Ther. 87:727"
RAVVAZ = "Ravvaz et al. 2017, Circ. Cardiovasc. Genet. 10:e001804"
IWPC = "IWPC: Klein et al. 2009, N. Engl. J. Med. 360:753"
GENOMES = "1000 Genomes Project, phase 3: Auton et al. 2015, Nature 526:68"
FRYAR = "Fryar et al. 2021, Vital Health Stat. 3(46) (adults in the United States, 2015 to 2018)"
NICE = "NICE guideline NG196 (2021), atrial fibrillation: signs of poor control of anticoagulation"
HYLEK = "Hylek et al. 2003, N. Engl. J. Med. 349:1019"
ROSENDAAL = "Rosendaal et al. 1993, Thromb. Haemost. 69:236"
GUESS = "assumption"
ROOT = "root of mg a week"

PROVENANCE = {
    "absorption": Parameter("1/h", HAMBERG, "Rate at which S-warfarin leaves the depot."),
    "steepness": Parameter("", HAMBERG, "gamma: exponent of the sigmoid."),
    "transit": Parameter("h", HAMBERG, "Mean transit times of the fast and the slow chain."),
    "baseline": Parameter("", HAMBERG, "INR without warfarin."),
    "largest_rise": Parameter("", HAMBERG, "INRmax: rise of the INR at full inhibition."),
    "allele_clearance": Parameter("L/h", HAMBERG, "Clearance of S-warfarin by CYP2C9 allele *1, *2, *3, at 71 years."),
    "clearance_age_slope": Parameter("share per year", HAMBERG, "Clearance that is lost with every year."),
    "typical_age": Parameter("years", HAMBERG, "Age at which clearances are given."),
    "volume": Parameter("L", HAMBERG, "Volume of distribution."),
    "allele_half_effect": Parameter("mg/L", HAMBERG, "Concentration of half the inhibition by VKORC1 allele G, A."),
    "elimination_spread": Parameter("log", HAMBERG, "Standard deviation of the elimination rate between people."),
    "volume_spread": Parameter("log", HAMBERG, "Standard deviation of the volume between people."),
    "half_effect_spread": Parameter("log", HAMBERG, "Standard deviation of the half-effect concentration."),
    "inr_error": Parameter("log", HAMBERG, "Standard deviation of a measured INR around the true one."),
    "ancestry_shares": Parameter("share", GUESS, "African, East Asian, European: as many, to know each equally well."),
    "cyp2c9_2_frequency": Parameter("share", GENOMES, "Of allele CYP2C9*2 (rs1799853) by ancestry."),
    "cyp2c9_3_frequency": Parameter("share", GENOMES, "Of allele CYP2C9*3 (rs1057910) by ancestry."),
    "vkorc1_a_frequency": Parameter("share", GENOMES, "Of allele A of VKORC1 -1639G>A (rs9923231) by ancestry."),
    "female_share": Parameter("share", RAVVAZ, "Of women in the cohort of Aurora Health Care."),
    "age_mean": Parameter("years", RAVVAZ, "Mean age in that cohort, the same for every ancestry and sex."),
    "age_spread": Parameter("years", RAVVAZ, "Its standard deviation."),
    "age_limits": Parameter("years", GUESS, "Where the normal distribution of ages is cut off."),
    "height_mean": Parameter("cm", FRYAR, "Of women, of men; the same for every ancestry (assumption)."),
    "height_spread": Parameter("cm", GUESS, "Standard deviation within a sex."),
    "weight_mean": Parameter("kg", FRYAR, "Of women, of men; the same for every ancestry (assumption)."),
    "weight_spread": Parameter("log", GUESS, "Standard deviation within a sex."),
    **{
        name: Parameter(unit, IWPC, about, moves=False)
        for name, unit, about in (
            ("clinical_intercept", ROOT, "Clinical formula: constant."),
            ("clinical_decade", ROOT, "Clinical formula: per whole decade of age."),
            ("clinical_height", ROOT, "Clinical formula: per cm."),
            ("clinical_weight", ROOT, "Clinical formula: per kg."),
            ("clinical_race", ROOT, "Clinical formula: African (IWPC: Black), East Asian (Asian), European (White)."),
            ("genetic_intercept", ROOT, "Pharmacogenetic formula: constant."),
            ("genetic_decade", ROOT, "Pharmacogenetic formula: per whole decade of age."),
            ("genetic_height", ROOT, "Pharmacogenetic formula: per cm."),
            ("genetic_weight", ROOT, "Pharmacogenetic formula: per kg."),
            ("genetic_race", ROOT, "Pharmacogenetic formula: African, East Asian, European, as above."),
            ("genetic_cyp2c9", ROOT, "Pharmacogenetic formula: by CYP2C9 genotype."),
            ("genetic_vkorc1", ROOT, "Pharmacogenetic formula: by VKORC1 genotype."),
        )
    },
    **{
        name: Parameter(unit, RAVVAZ, about, moves=False)
        for name, unit, about in (
            ("aurora_edges", "INR", "Where the dosing table's bands part."),
            ("aurora_factors", "", "By which the dose is multiplied in each band."),
            ("aurora_start", "mg", "Dose of the first two days below and from the age at which people count as old."),
            ("aurora_old", "years", "That age."),
            ("aurora_stable", "days", "In range, after which visits become rarer."),
            ("aurora_retest", "days", "To the next visit in range, by days in range."),
            ("skipped_doses", "doses", "Left out at an INR of 4 to 5."),
        )
    },
}
